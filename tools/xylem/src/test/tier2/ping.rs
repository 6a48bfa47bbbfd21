//! ICMP echo, up to sizes that travel in several fragments.

use std::time::Duration;

use super::fault::{Outcome, contains};
use super::machine::Machine;

/// Bytes of data; from 1473 on they do not fit in one packet of 1500 bytes.
const SIZES: [u32; 6] = [56, 1000, 1472, 1473, 4000, 8000];
/// For three echoes.
const LIMIT: Duration = Duration::from_secs(15);

/// All sizes are answered, every time, and the answers have what was sent (ping compares).
pub fn sizes(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let address = web.address()?;
    for size in SIZES {
        let step = format!("ping with {size} bytes");
        let ping = format!("ping -c 3 -i 0.2 -W 3 -s {size} {address} 2>&1");
        let said = machine.run(&step, &ping, LIMIT)?;
        contains(&said, " 0% packet loss", &step)?;
        contains(&said, &format!("{} bytes from {address}", size + 8), &step)?;
        super::fault::ensure(!said.contains("wrong data"), &step, || said.clone())?;
    }
    web.is_unhurt("pings")
}
