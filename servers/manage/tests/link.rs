//! Operators of all kinds at the link, with a fake xenstore and a fake kernel behind it.

#[path = "../../vchan/tests/client/mod.rs"]
mod client;
mod common;

use common::{Bench, Operator, hello};
use ipc::manage::{Action, Answer, From, PATIENCE, PROTOCOL, Refusal, Request};
use shared::with_peer;

#[test]
fn the_vchan_is_offered_and_told_in_xenstore() {
    let bench = Bench::new();
    assert_eq!(bench.rig.tree().number("data/xylem/ring-ref"), 512);
    assert_eq!(bench.rig.tree().number("data/xylem/event-channel"), 8);
    let machine = bench.rig.machine();
    let read_only: Vec<bool> = (512..521).map(|page| machine.is_read_only(page)).collect();
    assert_eq!(read_only, [false, false, false, false, false, true, true, true, true]);
}

#[test]
fn an_operator_is_welcome_and_answered() {
    let mut bench = Bench::new();
    let mut operator = bench.operator();
    assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
    assert_eq!(
        bench.ask(&mut operator, &hello(9)),
        Answer::Welcome { protocol: PROTOCOL, number: 9 }
    );
    assert_eq!(
        bench.ask(&mut operator, &Request::Events(3)),
        Answer::Events(vec![common::event(3)])
    );
}

#[test]
fn the_next_operator_is_served_when_one_has_left() {
    let mut bench = Bench::new();
    for round in 0..50 {
        let mut operator = bench.operator();
        match round % 3 {
            0 => assert_eq!(bench.ask(&mut operator, &Request::Status), common::status()),
            1 => operator.say(&Request::Status),
            _ => drop(operator.client.write(&[7, 0, 0])),
        }
        bench.leave(operator);
    }
}

#[test]
fn who_breaks_the_protocol_is_hung_up_on_and_the_next_is_served() {
    let noise: Vec<u8> = (0..2000u32).map(|n| ((n * n) >> 3) as u8 | 1).collect();
    let mut no_hello = ipc::manage::frame(&Request::Status, 100).unwrap();
    no_hello.extend(ipc::manage::frame(&hello(1), 100).unwrap());
    for bytes in [&b"\xff\xff\xff\xff"[..], &noise, &[1, 4, 0, 0], &no_hello, &[0; 4]] {
        let mut bench = Bench::new();
        let mut rude = bench.connect();
        rude.client.write(bytes);
        bench.turn();
        assert!(!rude.client.is_served(), "{:?}", &bytes[..4]);
        bench.leave(rude);
        let mut operator = bench.operator();
        assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
    }
}

#[test]
fn another_version_is_told_ours_and_nothing_else() {
    let mut bench = Bench::new();
    let mut operator = bench.connect();
    let old = Request::Hello { protocol: PROTOCOL + 1, number: 5 };
    let welcome = Answer::Welcome { protocol: PROTOCOL, number: 5 };
    assert_eq!(bench.ask(&mut operator, &old), welcome);
    operator.say(&Request::Status);
    bench.turn();
    assert!(!operator.client.is_served());
}

#[test]
fn who_does_not_read_holds_up_itself_and_gets_everything_later() {
    let mut bench = Bench::new();
    (0..400).for_each(|n| bench.log(&format!("[hello] line {n} {}\n", "x".repeat(60))));
    let mut operator = bench.operator();
    let request = Request::Log { from: From::Last(200), server: None, wait: 0 };
    let mut asked = 0;
    while operator.try_say(&request) {
        asked += 1;
        bench.turn();
    }
    assert!(asked > 10, "the ring takes {asked} requests");
    for _ in 0..asked {
        let Answer::Log { lines, .. } = bench.hear(&mut operator) else { panic!("no lines") };
        assert!(lines.len() >= 100);
    }
    assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
}

#[test]
fn lines_are_waited_for_and_filtered() {
    let mut bench = Bench::new();
    bench.log("[hello] one\n[net] two\n");
    bench.log("[hello] three\n");
    let mut operator = bench.operator();
    let last = |count, server: Option<&str>| Request::Log {
        from: From::Last(count),
        server: server.map(String::from),
        wait: 0,
    };
    let texts = |answer| match answer {
        Answer::Log { lines, next } => {
            (lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), next)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        texts(bench.ask(&mut operator, &last(2, None))),
        (vec!["two".into(), "three".into()], 3)
    );
    let (lines, _) = texts(bench.ask(&mut operator, &last(9, Some("hello"))));
    assert_eq!(lines, ["one", "three"]);
    let wait = Request::Log { from: From::Number(3), server: Some("net".into()), wait: u32::MAX };
    operator.say(&wait);
    bench.turn();
    bench.log("[hello] four\n");
    assert_eq!(operator.read(), None);
    bench.log("[net] five\n");
    assert_eq!(texts(operator.read().unwrap()), (vec!["five".into()], 5));
    operator.say(&wait.clone());
    operator.say(&Request::Log { from: From::Number(5), server: None, wait: u32::MAX });
    bench.turn();
    assert_eq!(texts(operator.read().unwrap()).0, ["five"]);
    let before = bench.rig.machine().now;
    bench.sleep();
    assert_eq!(texts(operator.read().unwrap()), (vec![], 5));
    assert_eq!(bench.rig.machine().now - before, u64::from(PATIENCE) * 1_000_000);
}

#[test]
fn servers_are_treated_by_name_and_this_one_only_after_its_answer_was_read() {
    let mut bench = Bench::new();
    let mut operator = bench.operator();
    let act = |server: &str, action| Request::Act { server: server.into(), action };
    assert_eq!(bench.ask(&mut operator, &act("httpd", Action::Stop)), Answer::Done);
    let refused = Answer::Refused(Refusal::NoSuchServer);
    assert_eq!(bench.ask(&mut operator, &act("nobody", Action::Kill)), refused);
    let refused = Answer::Refused(Refusal::NotAllowed);
    assert_eq!(bench.ask(&mut operator, &act("manage", Action::Stop)), refused);
    assert_eq!(bench.acts(), [(2, Action::Stop)]);
    operator.say(&act("manage", Action::Restart));
    bench.turn();
    assert_eq!(bench.acts(), []);
    assert_eq!(operator.read(), Some(Answer::Done));
    bench.turn();
    assert_eq!(bench.acts(), [(1, Action::Restart)]);
}

#[test]
fn pages_that_a_program_of_an_earlier_time_has_are_waited_for() {
    let mut bench = Bench::new();
    let old = bench.connect();
    bench.restart(&[513]);
    assert!(!old.client.is_served(), "the old program is told to leave");
    bench.sleep();
    assert!(!bench.rig.machine().is_open);
    bench.rig.machine().mapped.clear();
    bench.sleep();
    assert!(bench.rig.machine().is_open);
    assert_eq!(bench.rig.tree().number("data/xylem/event-channel"), 9);
    let mut operator = bench.operator();
    assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
}

#[test]
fn after_another_world_the_vchan_is_offered_anew() {
    let mut bench = Bench::new();
    bench.operator();
    bench.rig.move_world();
    bench.turn();
    assert_eq!(bench.rig.machine().opened, 2);
    assert_eq!(bench.rig.tree().number("data/xylem/event-channel"), 9);
    let mut operator = bench.operator();
    assert_eq!(bench.ask(&mut operator, &Request::Status), common::status());
}

#[test]
fn whatever_is_written_to_the_pages_the_next_operator_is_served() {
    for seed in 1..200u64 {
        let mut bench = Bench::new();
        let mut operator = bench.operator();
        let pages = bench.pages;
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let liar = move |_| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            if dice % 5 == 0 {
                let value = if dice & 64 == 0 { dice >> 50 } else { dice >> 32 };
                pages.store_u32_relaxed((dice >> 8 & 7) as usize * 4, value as u32);
            }
        };
        with_peer(liar, || {
            for _ in 0..20 {
                let _ = operator.try_say(&Request::Status);
                bench.rig.send_event();
                bench.run();
            }
        });
        bench.mend();
        bench.leave(operator);
        // One that finds the ring as the liar left it may be hung up on.
        let served = (0..2).any(|_| {
            let mut next = bench.connect();
            let answer = next.try_say(&hello(1)).then(|| bench.try_hear(&mut next)).flatten();
            bench.leave(next);
            answer == Some(Answer::Welcome { protocol: PROTOCOL, number: 1 })
        });
        assert!(served, "seed {seed}");
        let mut next: Operator = bench.operator();
        assert_eq!(bench.ask(&mut next, &Request::Status), common::status(), "seed {seed}");
    }
}
