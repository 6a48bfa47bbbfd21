//! The pure core of the kernel: who runs, who waits for whom, who may do what, who owns which page.
#![forbid(unsafe_code)]

pub mod hardware;
