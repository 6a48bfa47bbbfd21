//! Pages of a server's own that it may grant, for a vchan to another domain: a need that no slot serves. `pack` gives the slot
//! the pages, and domain 0 as the peer of its ports and windows.

/// Pages for the indices, four for the ring that the other domain writes, four for the one that it reads.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape { up: 9, down: 0, grantable: true };

/// Name of the interface.
pub const NAME: &str = "vchan";

/// It has no methods, since nobody serves it.
pub const METHODS: &[abi::Method] = &[];

/// Orders of the two rings, for the pages of [`WIRE`].
pub const ORDERS: (u16, u16) = (14, 14);

/// The directory in XenStore of the server that has it, below the domain's own.
pub const DIRECTORY: &str = "data/xylem";
