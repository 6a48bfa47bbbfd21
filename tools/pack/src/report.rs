//! An error that points at the manifest.

use std::fmt;
use std::ops::Range;
use std::path::Path;

/// What is wrong, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    text: String,
}

impl Report {
    /// Points at a part of a text.
    pub fn at(file: &str, text: &str, span: Range<usize>, what: &str, help: &str) -> Self {
        let start = span.start.min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let (line_number, column) =
            (before.matches('\n').count() + 1, before.len() - line_start + 1);
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let width =
            span.end.saturating_sub(start).clamp(1, line.len().saturating_sub(column - 1).max(1));
        let number = line_number.to_string();
        let margin = " ".repeat(number.len());
        let (dent, carets) = (" ".repeat(column - 1), "^".repeat(width));
        let mut out = format!(
            "error: {what}\n{margin}--> {file}:{line_number}:{column}\n{margin} |\n{number} | {line}\n{margin} | {dent}{carets}\n"
        );
        if !help.is_empty() {
            out.push_str(&format!("{margin} = help: {help}\n"));
        }
        Self { text: out }
    }

    /// The same, as a warning.
    #[must_use]
    pub fn into_warning(self) -> Self {
        match self.text.strip_prefix("error:") {
            Some(rest) => Self { text: format!("warning:{rest}") },
            None => self,
        }
    }

    /// A file that cannot be read.
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        Self { text: format!("error: cannot read {}: {error}\n", path.display()) }
    }

    /// Several errors at once.
    pub fn all(reports: Vec<Self>) -> Option<Self> {
        let texts: Vec<String> = reports.into_iter().map(|report| report.text).collect();
        (!texts.is_empty()).then(|| Self { text: texts.join("\n") })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn the_caret_is_under_the_place() {
        let report = Report::at(
            "a.toml",
            "name = \"x\"\npriority = 300\n",
            22..25,
            "too high",
            "use 0 to 255",
        );
        let expected = "error: too high\n --> a.toml:2:12\n  |\n2 | priority = 300\n  |            ^^^\n  = help: use 0 to 255";
        assert_eq!(report.to_string(), expected);
    }
}
