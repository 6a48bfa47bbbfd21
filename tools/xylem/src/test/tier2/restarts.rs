//! Servers are killed while the page is fetched: each comes back by itself, and so does the page.

use std::time::{Duration, Instant};

use super::fault::{Outcome, Step, ensure};
use super::files::Files;
use super::guest::Guest;
use super::machine::{Machine, Order};

/// Servers that may be killed, from the application down.
const SERVERS: [&str; 5] = ["httpd", "fs", "blkfront", "net", "netfront"];
/// For the page and a file to answer again.
const BACK: Duration = Duration::from_secs(20);
/// Bytes of a file that takes a while.
const SIZE: usize = 1 << 20;

/// Each in turn, beside clients that fetch the page and a file all the time.
pub fn each(machine: &Machine<'_>) -> Outcome {
    let files = Files::make(machine, SIZE)?;
    let web = machine.create(Order { disks: vec![files.disk()], ..Order::of("web") })?;
    web.page()?;
    let (page, file) = (web.url("/")?, web.url("/files/noise.bin")?);
    let clients = format!(
        "for url in {page} {file}; do while :; do curl -s -o /dev/null -m 10 $url; sleep 0.3; done & done; wait"
    );
    let _busy = machine.dom0().follow(&clients).step("clients that go on fetching")?;
    let mut times = Vec::new();
    for server in SERVERS {
        let start = Instant::now();
        kill(&web, server)?;
        times.push(format!("{server} {:.1} s", start.elapsed().as_secs_f32()));
    }
    println!("restarts: {}", times.join(", "));
    Ok(())
}

/// Kills one, and waits until everything is well again.
fn kill(web: &Guest<'_>, server: &str) -> Outcome {
    web.mark()?;
    web.types(&format!("restart {server}"))?;
    web.sees(&format!("{server} starts again"), BACK)?;
    let (page, file) = (web.url("/status.json")?, web.url("/files/noise.bin")?);
    let both =
        format!("curl -sSf -m 5 {page} 2>&1 && [ $(curl -sf -m 20 {file} | wc -c) = {SIZE} ]");
    let step = format!("page and file answer after a restart of {server}");
    let status = web.machine().until(&step, &both, BACK)?;
    let counted = restarts(&status, server);
    ensure(counted == Some(1), &step, || format!("its restarts are {counted:?}"))?;
    web.is_healthy(&step)
}

/// How often a server was started again, by the status page.
fn restarts(status: &str, server: &str) -> Option<u64> {
    let status: serde_json::Value = serde_json::from_str(status.trim()).ok()?;
    let servers = status.get("servers")?.as_array()?;
    servers.iter().find(|one| one["name"] == server)?["restarts"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::restarts;

    #[test]
    fn restarts_are_read_from_the_status() {
        let status = r#"{"servers":[{"name":"net","restarts":0},{"name":"fs","restarts":2}]}"#;
        assert_eq!(restarts(status, "fs"), Some(2));
        assert_eq!(restarts(status, "httpd"), None);
    }
}
