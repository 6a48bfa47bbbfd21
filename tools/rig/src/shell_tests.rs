//! The local shell on this very machine: no Xen is needed for the channel itself.

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn scratch(name: &str) -> String {
    std::env::temp_dir()
        .join(format!("rig-shell-{name}-{}", std::process::id()))
        .display()
        .to_string()
}

#[test]
fn status_and_both_outputs_come_back() {
    let output = Shell::here().exec("echo one; echo two >&2; exit 7", LIMIT).unwrap();
    assert_eq!((output.status, output.text.as_str()), (7, "one\ntwo\n"));
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_its_children() {
    let mark = scratch("late");
    let start = Instant::now();
    let command = format!("(sleep 1; touch {mark}) & sleep 60");
    let error = Shell::here().exec(&command, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, Error::CommandTimeout { .. }) && start.elapsed() < LIMIT, "{error}");
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!Path::new(&mark).exists());
}

#[test]
fn files_go_there_and_back_byte_for_byte() {
    let path = format!("{}/in/folders/it's a file", scratch("files"));
    let content: Vec<u8> = (0..300_000_u32).map(|at| (at.wrapping_mul(at) >> 3) as u8).collect();
    let dom0 = Shell::here();
    dom0.write(&mut content.as_slice(), content.len() as u64, &path).unwrap();
    let mut back = Vec::new();
    dom0.read(&path, &mut back).unwrap();
    assert!(back == content);
    std::fs::remove_dir_all(scratch("files")).unwrap();
}

#[test]
fn a_file_that_came_in_part_does_not_get_its_name() {
    let path = scratch("part");
    let error = Shell::here().write(&mut &b"abc"[..], 5, &path).unwrap_err();
    assert!(matches!(error, Error::Command { .. }) && !Path::new(&path).exists(), "{error}");
    std::fs::remove_file(format!("{path}.part")).unwrap();
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = Shell::here().read("/no/such/file", &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("/no/such/file"), "{error}");
}

#[test]
fn a_stream_gives_lines_as_they_come_and_ends_when_stopped() {
    let mut stream = Shell::here().follow("echo first; sleep 60").unwrap();
    let mut first = [0; 6];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first\n");
    let (start, stop) = (Instant::now(), stream.stopper());
    std::thread::spawn(move || stop.stop());
    assert_eq!(stream.read(&mut first).unwrap(), 0);
    assert!(start.elapsed() < LIMIT);
}

#[test]
fn a_stream_ends_with_its_command() {
    let mut text = String::new();
    Shell::here().follow("echo a; echo b >&2").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "a\nb\n");
}

#[test]
fn ssh_that_cannot_connect_is_told_apart_from_a_command_that_fails() {
    let mut dom0 = Shell::ssh("host", None);
    dom0.words = ["sh", "-c", "echo no route >&2; exit 255"].map(str::to_owned).to_vec();
    let error = dom0.exec("true", LIMIT).unwrap_err().to_string();
    assert!(error.contains("ssh://host") && error.contains("no route"), "{error}");
}

#[test]
fn a_pipe_carries_bytes_both_ways_and_ends_with_its_input() {
    let Pipe { mut input, mut output } = Shell::here().pipe("echo begun; cat; echo gone").unwrap();
    input.write_all(b"a\x01b\0").unwrap();
    drop(input);
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"begun\na\x01b\0gone\n");
}
