//! Many requests: none is lost, with connections that are kept and with a new one each.

use std::time::Duration;

use super::fault::{Outcome, contains, ensure};
use super::machine::Machine;

/// For each of the two.
const LIMIT: Duration = Duration::from_secs(90);

/// A thousand requests on eight connections that are kept alive. The page's length varies, which `-l` allows.
pub fn thousand(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let step = "1000 requests by ab";
    let url = web.url("/")?;
    let report = machine.run(step, &format!("ab -k -l -q -c 8 -n 1000 {url} 2>&1"), LIMIT)?;
    ensure(count(&report, "Complete requests:") == Some(1000), step, || report.clone())?;
    ensure(count(&report, "Failed requests:") == Some(0), step, || report.clone())?;
    ensure(!report.contains("Non-2xx responses"), step, || report.clone())?;
    let kept = count(&report, "Keep-Alive requests:").unwrap_or(0);
    ensure(kept >= 900, step, || format!("only {kept} came on connections that were kept"))?;
    web.is_unhurt("1000 requests")
}

/// Two hundred requests in a row, each on a connection of its own.
pub fn in_a_row(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let step = "200 requests by curl";
    let fetch = format!(
        "curl -s -o /dev/null -m 5 -H 'Connection: close' -w '%{{http_code}}\\n' '{}' | sort | uniq -c",
        web.url("/?[1-200]")?
    );
    let codes = machine.run(step, &fetch, LIMIT)?;
    let only = codes.split_whitespace().collect::<Vec<_>>();
    ensure(only == ["200", "200"], step, || format!("times and codes: {}", codes.trim()))?;
    contains(&web.get(step, "/status.json")?, "\"system\":\"web\"", step)?;
    web.is_healthy(step)
}

/// The number behind a title in ab's report.
fn count(report: &str, title: &str) -> Option<u64> {
    let (_, rest) = report.split_once(title)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn numbers_are_read_from_the_report() {
        let report = "Complete requests:      1000\nFailed requests:        3\n   (Connect: 0, Receive: 0)\n";
        assert_eq!(count(report, "Complete requests:"), Some(1000));
        assert_eq!(count(report, "Failed requests:"), Some(3));
        assert_eq!(count(report, "Non-2xx responses:"), None);
    }
}
