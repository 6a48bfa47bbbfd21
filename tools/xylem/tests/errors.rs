//! What the user sees when something is wrong: one message that says what to do, and a status that is not 0.
//!
//! Invariant: no rig is needed and none is started: the cache is an empty folder.

use std::process::{Command, Output};

fn xylem(words: &[&str]) -> Output {
    let cache = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_xylem"))
        .args(words)
        .env("XYLEM_CACHE", cache.path())
        .output()
        .unwrap()
}

/// Fails if the command goes well or does not say this.
fn refused(words: &[&str], parts: &[&str]) {
    let output = xylem(words);
    let text =
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{words:?} went well: {text}");
    for part in parts {
        assert!(text.contains(part), "{words:?} does not say {part:?} but: {text}");
    }
}

#[test]
fn a_system_that_is_not_there_is_named() {
    refused(&["run", "no-such-system"], &["error:", "`no-such-system`", "boot/systems"]);
    refused(&["run", "./no-such.toml"], &["./no-such.toml"]);
}

#[test]
fn a_place_that_is_none_is_answered_with_the_right_forms() {
    refused(&["run", "web", "--on", "kvm"], &["ssh://[USER@]HOST"]);
}

#[test]
fn a_setting_that_is_none_is_shown_with_its_form() {
    for wrong in ["address", "net=x", ".x=1", "net.=1", "net.a=b c"] {
        refused(&["run", "web", "--set", wrong], &[wrong, "SERVER.KEY=VALUE"]);
    }
}

#[test]
fn a_disk_that_is_not_there_is_named() {
    refused(&["run", "web", "--disk", "/no/such/disk"], &["/no/such/disk"]);
}

#[test]
fn kernel_and_image_go_together() {
    refused(&["run", "web", "--kernel", "/x"], &["--image"]);
}

#[test]
fn without_a_rig_its_commands_say_how_to_start_it() {
    refused(&["rig", "exec", "true"], &["no rig is running", "cargo xylem rig up"]);
    refused(&["rig", "logs"], &["cargo xylem rig up"]);
    refused(&["stop", "web"], &["cargo xylem rig up"]);
    refused(&["rig", "status"], &["no rig is running"]);
    assert!(xylem(&["rig", "down"]).status.success());
}

#[test]
fn status_is_an_object_with_json() {
    let output = xylem(&["rig", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["running"], false);
}
