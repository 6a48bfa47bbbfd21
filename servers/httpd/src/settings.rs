//! [`Settings`]: what the manifest says.

use alloc::string::String;

/// The configuration: lines `port=80` and `title=…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// TCP port.
    pub port: u16,
    /// Title of the front page.
    pub title: String,
}

impl Settings {
    /// Reads configuration lines; `complain` gets key and value of each that is not understood, and that has no effect.
    pub fn read<'a>(
        lines: impl Iterator<Item = (&'a str, &'a str)>,
        mut complain: impl FnMut(&str, &str),
    ) -> Self {
        let mut settings = Self { port: 80, title: "Xylem".into() };
        for (key, value) in lines {
            match (key, value.parse()) {
                ("port", Ok(port)) if port > 0 => settings.port = port,
                ("title", _) => settings.title = value.into(),
                _ => complain(key, value),
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn what_is_not_understood_is_told_and_has_no_effect() {
        let lines =
            [("port", "8080"), ("title", "A b"), ("port", "0"), ("port", "x"), ("prot", "1")];
        let mut complaints = 0;
        let settings = Settings::read(lines.into_iter(), |_, _| complaints += 1);
        assert_eq!((settings.port, settings.title.as_str(), complaints), (8080, "A b", 3));
    }
}
