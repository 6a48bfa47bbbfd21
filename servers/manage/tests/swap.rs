//! Swaps of the server with an operator at the link: the operator sees the same bytes as without.

#[path = "../../vchan/tests/client/mod.rs"]
mod client;
mod common;

use common::{Bench, event, hello};
use ipc::manage::{Action, Answer, From, PROTOCOL, REQUEST, Request};

fn lines(bench: &mut Bench, operator: &mut common::Operator, from: From) -> (Vec<String>, u64) {
    let request = Request::Log { from, server: None, wait: 0 };
    match bench.ask(operator, &request) {
        Answer::Log { lines, next } => (lines.into_iter().map(|line| line.text).collect(), next),
        other => panic!("{other:?}"),
    }
}

/// What an operator is answered who asks for all sorts of things, and whose requests come in pieces of so many bytes.
fn session(every: u64, piece: usize) -> (Vec<Answer>, u64) {
    let mut bench = Bench::swapping(every);
    bench.log("[hello] one\n[net] two\n");
    let mut operator = bench.connect();
    let act = |server: &str, action| Request::Act { server: server.into(), action };
    let log = |from, wait| Request::Log { from, server: None, wait };
    let mut answers = Vec::new();
    for request in [
        hello(77),
        Request::Status,
        log(From::Last(9), 0),
        act("httpd", Action::Stop),
        act("nobody", Action::Kill),
        Request::Events(3),
        Request::Deaths(0),
        log(From::Number(2), 10_000),
        act("manage", Action::Kill),
        Request::Status,
    ] {
        let frame = ipc::manage::frame(&request, REQUEST).unwrap();
        for bytes in frame.chunks(piece) {
            assert_eq!(operator.client.write(bytes), bytes.len());
            bench.turn();
        }
        if matches!(request, Request::Log { wait: 10_000, .. }) {
            assert_eq!(operator.read(), None, "there is no such line yet");
            bench.log("[net] three\n");
        }
        answers.push(bench.hear(&mut operator));
    }
    assert_eq!(bench.acts(), [(2, Action::Stop), (1, Action::Kill)]);
    (answers, bench.swaps())
}

#[test]
fn a_session_is_the_same_with_swaps_and_without() {
    let (without, none) = session(0, 1000);
    assert_eq!((none, without.len()), (0, 10));
    assert_eq!(without[0], Answer::Welcome { protocol: PROTOCOL, number: 77 });
    assert_eq!(without[5], Answer::Events(vec![event(3)]));
    for every in [1, 2, 3] {
        for piece in [1, 3, 7, 1000] {
            let (with, swaps) = session(every, piece);
            assert!(swaps > 5, "{swaps}");
            // Whoever reads lines notes when: later, if the session takes longer.
            assert_eq!(without_times(with), without_times(without.clone()), "{every} {piece}");
        }
    }
}

fn without_times(mut answers: Vec<Answer>) -> Vec<Answer> {
    for answer in &mut answers {
        if let Answer::Log { lines, .. } = answer {
            lines.iter_mut().for_each(|line| line.at = 0);
        }
    }
    answers
}

#[test]
fn no_line_is_lost_and_none_gets_another_number() {
    let mut bench = Bench::swapping(1);
    let mut operator = bench.operator();
    let (mut all, mut next) = lines(&mut bench, &mut operator, From::Number(0));
    for round in 0..120 {
        bench.log(&format!("[hello] line {round} {}\n", "x".repeat(80)));
        if round % 7 == 0 {
            let (some, end) = lines(&mut bench, &mut operator, From::Number(next));
            all.extend(some);
            next = end;
        }
    }
    all.extend(lines(&mut bench, &mut operator, From::Number(next)).0);
    assert_eq!(all.len(), 120);
    let told = |(round, line): (usize, &String)| line.starts_with(&format!("line {round} "));
    assert!(all.iter().enumerate().all(told));
}

#[test]
fn an_answer_that_is_not_read_yet_is_read_later() {
    let mut bench = Bench::swapping(1);
    (0..250).for_each(|n| bench.log(&format!("[hello] line {n} {}\n", "x".repeat(60))));
    let mut operator = bench.operator();
    let request = Request::Log { from: From::Last(200), server: None, wait: 0 };
    let mut asked = 0;
    while operator.try_say(&request) {
        asked += 1;
        bench.turn();
    }
    for _ in 0..asked {
        let Answer::Log { lines, .. } = bench.hear(&mut operator) else { panic!("no lines") };
        assert!(lines.len() >= 100);
    }
    assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
}

#[test]
fn operators_come_and_go_and_the_rude_are_hung_up_on() {
    let mut bench = Bench::swapping(1);
    for round in 0..20 {
        let mut operator = bench.operator();
        assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
        bench.leave(operator);
        let mut rude = bench.connect();
        rude.client.write(&[0xff; 9]);
        bench.turn();
        assert!(!rude.client.is_served(), "{round}");
        bench.leave(rude);
    }
    assert_eq!(bench.rig.machine().opened, 1, "the event channel stays");
}
