//! When things happened to a domain that was created, as `first_answer.sh` tells it.
//!
//! Invariant: pure. All times are milliseconds after `xl create` returned; what happened before is negative.

/// One creation of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// `xl create` was begun.
    pub begun: f64,
    /// It answered a ping for the first time.
    pub pinged: f64,
    /// It served its front page for the first time.
    pub answered: f64,
    /// It told of itself.
    pub told: f64,
    /// Milliseconds from the kernel's entry until all servers were ready; where the console says so.
    pub ready_after: Option<f64>,
    /// What it told of itself.
    pub status: String,
}

impl Moments {
    /// Reads what the script printed.
    pub fn read(text: &str) -> Option<Self> {
        let (times, rest) = text.split_once('\n')?;
        let (ready, status) = rest.split_once('\n')?;
        let times: Vec<f64> =
            times.split_whitespace().map_while(|time| time.parse().ok()).collect();
        let &[begun, created, pinged, answered, told] = times.as_slice() else { return None };
        let since = |moment: f64| (moment - created) * 1000.0;
        Some(Self {
            begun: since(begun),
            pinged: since(pinged),
            answered: since(answered),
            told: since(told),
            ready_after: ready_after(ready),
            status: status.trim().to_owned(),
        })
    }
}

/// The time in a line like `all 9 servers are ready 187000 us after the kernel's entry`.
fn ready_after(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("servers are ready ")?;
    let microseconds: f64 = rest.split_once(" us")?.0.parse().ok()?;
    Some(microseconds / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "100.250000 101.000000 101.125000 101.250000 101.500000\n\
                        [supervisor] all 9 servers are ready 187250 us after the kernel's entry\r\n{\"a\":1}\n";

    #[test]
    fn times_count_from_the_return_of_xl() {
        let expected = Moments {
            begun: -750.0,
            pinged: 125.0,
            answered: 250.0,
            told: 500.0,
            ready_after: Some(187.25),
            status: "{\"a\":1}".into(),
        };
        assert_eq!(Moments::read(TEXT), Some(expected));
    }

    #[test]
    fn a_guest_that_does_not_tell_when_it_is_ready_is_read_too() {
        let moments = Moments::read("1.5 2.5 3.5 4.5 5.5\n\n{}\n").unwrap();
        assert_eq!((moments.ready_after, moments.status.as_str()), (None, "{}"));
    }

    #[test]
    fn an_error_of_the_script_is_not_read() {
        for text in ["", "10.0.3.15 did not answer\n", "1 2 3 4\n\n{}\n", "1 2 3 4 5\n"] {
            assert_eq!(Moments::read(text), None, "{text}");
        }
    }
}
