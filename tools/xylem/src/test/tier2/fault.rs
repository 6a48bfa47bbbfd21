//! What a case found wrong.
//!
//! Invariant: it names the step and what was missing there.

use std::fmt::{self, Display};

/// How a case, or a step of it, ended.
pub type Outcome<T = ()> = Result<T, Fault>;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    step: String,
    reason: String,
}

impl Fault {
    /// What a step found wrong.
    pub fn new(step: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { step: step.into(), reason: reason.into() }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step `{}`: {}", self.step, self.reason)
    }
}

/// Names the step that an error comes from.
pub trait Step<T> {
    /// Names it.
    fn step(self, step: &str) -> Outcome<T>;
}

impl<T, E: Display> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Outcome<T> {
        self.map_err(|error| Fault::new(step, error.to_string()))
    }
}

/// What has to hold at a step.
///
/// # Errors
/// With what `reason` says, when it does not.
pub fn ensure(holds: bool, step: &str, reason: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Fault::new(step, reason())) }
}

/// The text that has to be in another one; a failure shows both.
///
/// # Errors
/// With the text that is missing.
pub fn contains(text: &str, wanted: &str, step: &str) -> Outcome {
    ensure(text.contains(wanted), step, || format!("`{wanted}` is missing in: {}", short(text)))
}

/// The end of a text, where the failures of commands are told.
pub fn short(text: &str) -> String {
    const MOST: usize = 600;
    let text = text.trim();
    match text.char_indices().rev().nth(MOST) {
        Some((at, _)) => format!("… {}", text.get(at..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{contains, short};

    #[test]
    fn a_fault_names_step_and_missing_text() {
        let fault = contains("HTTP/1.1 404", "200", "the page").unwrap_err().to_string();
        assert_eq!(fault, "step `the page`: `200` is missing in: HTTP/1.1 404");
    }

    #[test]
    fn long_texts_are_shown_by_their_end() {
        let text = format!("{}end", "ä".repeat(2000));
        assert!(short(&text).ends_with("end") && short(&text).chars().count() < 620);
        assert_eq!(short(" x\n"), "x");
    }
}
