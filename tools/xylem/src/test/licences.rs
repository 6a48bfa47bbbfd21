//! Whether every dependency may be used: its licence, as its own manifest states it, is one of those allowed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Tally;

/// Licences that fit MIT and Apache-2.0.
const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
    "MIT-0",
];

/// Looks at all packages of the lock file; one check a package.
pub fn check(root: &Path) -> Tally {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["metadata", "--format-version=1", "--locked"])
        .output();
    let parsed =
        output.ok().and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok());
    let Some(packages) = parsed.as_ref().and_then(|value| value["packages"].as_array()) else {
        return Tally::one(false);
    };
    let mut tally = Tally::default();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        let good = is_allowed(licence);
        if !good {
            println!("licence of {} {}: {licence}", package["name"], package["version"]);
        }
        tally.add(Tally::one(good));
    }
    tally
}

/// Whether an SPDX expression of `OR`, `AND` and `/` is satisfied by what is allowed.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let all = |part: &str| part.split(" AND ").all(|licence| ALLOWED.contains(&licence.trim()));
    // Parentheses are dropped: `(A OR B) AND C` then needs C beside B, or A alone, and C is looked at separately.
    let conjuncts: Vec<&str> = expression.split(" OR ").collect();
    let every_and = conjuncts
        .iter()
        .filter(|part| part.contains(" AND "))
        .all(|part| part.split(" AND ").skip(1).all(|licence| ALLOWED.contains(&licence.trim())));
    every_and && conjuncts.iter().any(|part| all(part))
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn a_choice_needs_one_that_is_allowed() {
        assert!(is_allowed("MIT OR GPL-2.0-only"));
        assert!(is_allowed("Apache-2.0/MIT"));
        assert!(!is_allowed("GPL-3.0-only"));
        assert!(!is_allowed("none"));
    }

    #[test]
    fn a_sum_needs_all() {
        assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!is_allowed("(MIT OR Apache-2.0) AND GPL-3.0-only"));
    }
}
