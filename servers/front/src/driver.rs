//! [`Driver`]: what differs between kinds of devices, as far as connecting them goes.

use alloc::string::String;
use alloc::vec::Vec;

use xen::xenbus::Class;

/// Where a device's directory is in xenstore, below the domain's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// This directory: `device/vif/0`.
    At(String),
    /// The first directory below this one: `device/vbd`.
    Below(String),
}

/// A node that a driver wants to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Node {
    /// In the device's own directory.
    Own(&'static str),
    /// In the backend's directory.
    Backend(&'static str),
}

/// The texts of nodes, in the order asked for; `None` for those that are not there.
pub type Texts = [Option<Vec<u8>>];

/// Pages to be granted under references that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Number of the first reference, counted from the window's first.
    pub first: u32,
    /// Address of the first page.
    pub address: u64,
    /// Number of pages.
    pub pages: u32,
    /// Whether the backend may only read.
    pub read_only: bool,
}

/// What a driver writes into its device's directory: names and texts.
pub type Offer = Vec<(&'static str, String)>;

/// A driver, as its device sees it.
pub trait Driver {
    /// Its class.
    const CLASS: Class;
    /// What it reads before it offers.
    const FEATURES: &'static [Node];
    /// What it reads when the backend is connected.
    const FACTS: &'static [Node];

    /// The pages to be granted, those of the rings included.
    fn spans(&self) -> Vec<Span>;

    /// Makes rings in pages that are granted now, the window's first as `reference`, with an event channel of number
    /// `port`; says what the backend must be told, its own state excepted. `None`: such a backend is of no use.
    fn offer(&mut self, reference: u32, port: u32, features: &Texts) -> Option<Offer>;

    /// The backend is connected: the rings may be used. False: what it says of the device makes no sense.
    fn online(&mut self, facts: &Texts) -> bool;

    /// The backend may have changed what it says. False: it makes no sense.
    fn refresh(&mut self, facts: &Texts) -> bool;

    /// The rings may not be used any more; what is not done may be done again after the next [`Self::online`].
    fn offline(&mut self);

    /// The rings are gone.
    fn release(&mut self);

    /// The device is broken or gone: what is not done will not be done.
    fn abandon(&mut self);

    /// Whether there is such a device at all.
    fn present(&mut self, is_present: bool);
}
