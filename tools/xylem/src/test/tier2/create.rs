//! A domain is created in the smallest memory, and its page answers.

use super::fault::{Outcome, contains};
use super::machine::{Machine, Order};

/// The servers of the system `web`.
const SERVERS: [&str; 10] = [
    "supervisor",
    "xenstore",
    "log",
    "console",
    "manage",
    "netfront",
    "blkfront",
    "net",
    "fs",
    "httpd",
];

/// `xl create` with 16 MB: the page answers and shows the servers.
pub fn page(machine: &Machine<'_>) -> Outcome {
    let web = machine.create(Order { memory: Some(16), ..Order::of("web") })?;
    let page = web.page()?;
    for server in SERVERS {
        contains(&page, &format!("<td>{server}<"), "the page shows the servers")?;
    }
    web.is_healthy("no server has faulted")
}
