//! `ab`: how it is called, and what it prints.
//!
//! Invariant: pure. Numbers that are not there make the whole reading fail.

/// What one run of `ab` found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Requests per second.
    pub rate: f64,
    /// Milliseconds within which half of the requests were served.
    pub half: f64,
    /// Milliseconds within which 99 of 100 were.
    pub most: f64,
    /// Requests that failed, or were answered with another status than 2xx.
    pub failed: f64,
}

/// The command that asks for a page `count` times, `at_once` at a time.
pub fn command(url: &str, count: u32, at_once: u32, keeps_alive: bool) -> String {
    let keep = if keeps_alive { "-k " } else { "" };
    let table = "/run/xylem-ab.csv";
    format!("ab -q -l -r {keep}-n {count} -c {at_once} -e {table} {url} 2>&1 && cat {table}")
}

/// Reads what that command printed.
pub fn read(text: &str) -> Option<Report> {
    let number = |key: &str| text.lines().find_map(|line| first(line.strip_prefix(key)?));
    let within = |percent: &str| {
        text.lines().find_map(|line| first(line.strip_prefix(percent)?.strip_prefix(',')?))
    };
    Some(Report {
        rate: number("Requests per second:")?,
        half: within("50")?,
        most: within("99")?,
        failed: number("Failed requests:")? + number("Non-2xx responses:").unwrap_or(0.0),
    })
}

/// The number that a text begins with.
fn first(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Server Software:        Xylem
Concurrency Level:      8
Time taken for tests:   1.916 seconds
Complete requests:      200
Failed requests:        3
   (Connect: 0, Receive: 0, Length: 0, Exceptions: 3)
Keep-Alive requests:    200
Requests per second:    104.38 [#/sec] (mean)
Time per request:       76.642 [ms] (mean)
Percentage served,Time in ms
0,12.003
1,15.482
50,75.921
98,101.221
99,120.75
100,130.001
";

    #[test]
    fn what_counts_is_read() {
        let report = Report { rate: 104.38, half: 75.921, most: 120.75, failed: 3.0 };
        assert_eq!(read(TEXT), Some(report));
        let refused = TEXT.replace("Keep-Alive", "Non-2xx responses:      4\nKeep-Alive");
        assert_eq!(read(&refused), Some(Report { failed: 7.0, ..report }));
    }

    #[test]
    fn a_report_that_lacks_something_is_none() {
        for key in ["Requests per", "Failed", "50,", "99,"] {
            assert_eq!(read(&TEXT.replace(key, "x")), None, "{key}");
        }
        assert_eq!(read("apr_socket_recv: Connection reset by peer (104)"), None);
    }

    #[test]
    fn one_command_runs_it_and_shows_its_table() {
        let line = command("http://10.0.3.15/", 200, 8, true);
        assert!(line.starts_with("ab -q -l -r -k -n 200 -c 8 -e "), "{line}");
        assert!(!command("http://10.0.3.15/", 200, 8, false).contains("-k"));
    }
}
