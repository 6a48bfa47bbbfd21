//! What the kernel does for every server: handle 0.

crate::interface! {
    /// The kernel, as seen by a server.
    interface "kernel.own";
    /// Why the kernel refused.
    error Error {
        /// The right to print is missing: the manifest does not say `debug = true`.
        NotAllowed = 1,
    }
    /// Ends the server; the supervisor gets a fault of kind `Exit` with `code`. Does not return.
    1 now fn exit(code: u64) -> ();
    /// Sets the one-shot timer: bit 62 of the inbox at `deadline` (nanoseconds since boot; at once if it has passed); 0
    /// disarms it.
    2 now fn timer(deadline: u64) -> ();
    /// Nanoseconds since boot, for when the clock page cannot be used.
    3 now fn now() -> u64;
    /// Prints the first `count` (at most 32) bytes of the words, low byte first, on the hypervisor's debug console (port 0xE9).
    4 now fn debug(count: u64, a: u64, b: u64, c: u64, d: u64) -> ();
    /// Lets others of the same priority run.
    5 now fn pause() -> ();
}
