//! Swaps of a server under load, one after the other: what domain 0 runs for that, and what it printed.
//!
//! Invariant: pure. What is not there makes the reading fail, so no count is taken for zero.

use rig::dom0::quoted;

/// The script that swaps, and uses the web server meanwhile.
pub const SCRIPT: &str = include_str!("swaps/load.sh");
/// Where it lies in domain 0.
pub const PLACE: &str = "/run/xylem-swaps.sh";

/// Which swaps.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The domain.
    pub domain: &'a str,
    /// Its address.
    pub address: &'a str,
    /// The server.
    pub server: &'a str,
    /// The images in turn; none: the one that runs.
    pub images: &'a [&'a str],
    /// How many swaps.
    pub count: u32,
    /// The SHA-256 of `/files/noise.bin`, if it is to be fetched.
    pub sum: Option<&'a str>,
}

impl Plan<'_> {
    /// The command that does it, when the script is in its place.
    pub fn command(&self) -> String {
        let Self { domain, address, server, images, count, sum } = *self;
        let words = [domain, server, &count.to_string(), address, sum.unwrap_or_default()];
        let words: Vec<String> = words.iter().chain(images).map(|word| quoted(word)).collect();
        format!("bash {PLACE} {} 2>&1", words.join(" "))
    }
}

/// One swap, as the supervisor tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// Bytes of state.
    pub bytes: u64,
    /// For how long nobody served, in microseconds.
    pub stopped: u64,
}

/// What became of swaps and clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The swaps.
    pub swaps: Vec<Swap>,
    /// Requests of those who keep their connections.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// The longest of them, in milliseconds.
    pub longest: u64,
    /// Requests of the slow client that were answered.
    pub slow: u64,
    /// Files that came byte for byte.
    pub large: u64,
    /// Files that did not.
    pub broken: u64,
}

/// Reads what the script printed.
pub fn read(text: &str) -> Option<Run> {
    let number = |key: &str| text.lines().find_map(|line| first(line.strip_prefix(key)?));
    let swaps: Vec<Swap> = text.lines().filter_map(swap).collect();
    let other = number("Non-2xx responses:").unwrap_or(0);
    Some(Run {
        swaps,
        requests: number("Complete requests:")?,
        failed: number("Failed requests:")? + other,
        longest: number(" 100%")?,
        slow: number("slow ")?,
        large: number("large ").unwrap_or(0),
        broken: text.lines().filter(|line| line.starts_with("broken ")).count() as u64,
    })
}

/// `… is swapped to …: …; 123 bytes of state, stopped for 456 us`.
fn swap(line: &str) -> Option<Swap> {
    let (_, rest) = line.split_once(" is swapped to ")?;
    let (_, rest) = rest.split_once("; ")?;
    let (bytes, rest) = rest.split_once(" bytes of state, stopped for ")?;
    Some(Swap { bytes: bytes.parse().ok()?, stopped: first(rest)? })
}

/// The number that a text begins with.
fn first(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The value below which so many percent of the samples are.
pub fn percentile(samples: impl Iterator<Item = u64>, percent: usize) -> u64 {
    let mut all: Vec<u64> = samples.collect();
    all.sort_unstable();
    let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
    all.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Complete requests:      812
Failed requests:        0
Keep-Alive requests:    812
  50%     75
 100%    211 (longest request)
slow 20
large 3
[supervisor] httpd is swapped to httpd-alt: built after 9000 us, quiesced 9900, adopted 12000, committed 12100; 3181 bytes of state, stopped for 2200 us
[supervisor] httpd is swapped to httpd: built after 9000 us, quiesced 9900, adopted 12000, committed 12100; 99 bytes of state, stopped for 12 us
";

    #[test]
    fn swaps_and_clients_are_read() {
        let swaps = vec![Swap { bytes: 3181, stopped: 2200 }, Swap { bytes: 99, stopped: 12 }];
        let run =
            Run { swaps, requests: 812, failed: 0, longest: 211, slow: 20, large: 3, broken: 0 };
        assert_eq!(read(TEXT), Some(run.clone()));
        let worse = format!("broken 1234\nNon-2xx responses:      2\n{TEXT}");
        assert_eq!(read(&worse), Some(Run { failed: 2, broken: 1, ..run }));
    }

    #[test]
    fn what_lacks_a_count_is_none() {
        for key in ["Complete", "Failed", " 100%", "slow"] {
            assert_eq!(read(&TEXT.replace(key, "x")), None, "{key}");
        }
    }

    #[test]
    fn images_come_behind_all_other_words() {
        let images = ["httpd-alt", "httpd"];
        let (domain, address, server, count) = ("web", "10.0.3.15", "httpd", 20);
        let plan = Plan { domain, address, server, images: &images, count, sum: None };
        let line = plan.command();
        assert!(line.ends_with("'httpd' '20' '10.0.3.15' '' 'httpd-alt' 'httpd' 2>&1"), "{line}");
    }

    #[test]
    fn percentiles_are_samples() {
        assert_eq!(percentile(1..=100, 99), 99);
        assert_eq!(percentile([7, 3, 5].into_iter(), 50), 5);
        assert_eq!(percentile([7, 3, 5].into_iter(), 99), 7);
        assert_eq!(percentile(std::iter::empty(), 50), 0);
    }
}
