//! The name that was probably meant.

/// The known name that is nearest to a misspelt one, if one is near enough to be meant: a few slips of the keys apart, or
/// an abbreviation.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let is_short = |other: &str| name.len() >= 3 && other.starts_with(name);
    let is_near = |other: &&str| {
        let is_long = other.len() >= 3 && name.starts_with(*other);
        is_short(other) || is_long || distance(other) <= (other.chars().count() / 3).max(1)
    };
    known.into_iter().filter(is_near).min_by_key(|other| (!is_short(other), distance(other)))
}

/// A help that begins with the name that was probably meant, if there is one.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, help: &str) -> String {
    match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`? {help}"),
        None => help.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{hint, nearest};

    #[test]
    fn slips_and_abbreviations_find_the_name() {
        let known = ["priority", "period", "image", "log", "netfront", "net"];
        let cases = [
            ("prio", Some("priority")),
            ("imgae", Some("image")),
            ("lgo", Some("log")),
            ("netfrnt", Some("netfront")),
            ("netz", Some("net")),
            ("colour", None),
            ("x", None),
        ];
        for (name, meant) in cases {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }

    #[test]
    fn a_hint_keeps_the_help() {
        assert_eq!(hint("lgo", ["log"], "write one"), "did you mean `log`? write one");
        assert_eq!(hint("abc", ["log"], "write one"), "write one");
    }
}
