//! `ping`: how it is called, and what it prints.
//!
//! Invariant: pure.

use super::samples::Samples;

/// The command that asks an address 20 times.
pub fn command(address: &str) -> String {
    format!("ping -n -c 20 -i 0.2 -w 20 {address}")
}

/// The round trips in ms; none where an answer is missing.
pub fn read(text: &str) -> Option<Samples> {
    let time = |line: &str| line.split_once("time=")?.1.split_whitespace().next()?.parse().ok();
    let times: Vec<f64> = text.lines().filter_map(time).collect();
    (times.len() == 20).then(|| times.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: &str) -> String {
        format!("64 bytes from 10.0.3.15: icmp_seq=1 ttl=64 time={time} ms\n")
    }

    #[test]
    fn twenty_answers_are_read() {
        let text = format!(
            "PING\n{}{}\nrtt min/avg/max/mdev = 1/2/3/0 ms",
            line("1.5").repeat(9),
            line("2.50").repeat(11)
        );
        assert_eq!(read(&text).map(|samples| samples.median()), Some(2.5));
    }

    #[test]
    fn a_missing_answer_is_no_reading() {
        assert_eq!(read(&line("1.5").repeat(19)), None);
        assert_eq!(read(""), None);
    }
}
