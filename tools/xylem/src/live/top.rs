//! `top`: the servers of a running domain, drawn again and again.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipc::manage::{Answer, Request};
use ipc::status::Snapshot;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Text;
use ratatui::widgets::{Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use crate::args::Top;
use crate::failure::{Context, Result};
use crate::live::ps::{HEAD, WIDTHS, cells, strange, summary};
use crate::live::rates::{Rate, rates};
use crate::live::turns::Turns;

/// What the servers are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Slot,
    Cpu,
    Memory,
}

/// Shows the servers until `q` is pressed.
///
/// # Errors
/// Those of the link, and of the terminal.
pub fn top(args: &Top) -> Result<ExitCode> {
    let every = Duration::try_from_secs_f32(args.every).unwrap_or(Duration::from_secs(1));
    let mut turns = Turns::new(&args.place);
    let first = look(&mut turns)?;
    let mut terminal = ratatui::try_init().context("open", "the terminal")?;
    let result = show(&mut turns, &mut terminal, first, every.max(Duration::from_millis(100)));
    ratatui::restore();
    result.map(|()| ExitCode::SUCCESS)
}

/// The state of the system.
fn look(turns: &mut Turns<'_>) -> Result<Snapshot> {
    match turns.ask(&Request::Status)? {
        Answer::Status(snapshot) => Ok(snapshot),
        other => Err(strange(&other)),
    }
}

fn show(
    turns: &mut Turns<'_>,
    terminal: &mut DefaultTerminal,
    first: Snapshot,
    every: Duration,
) -> Result<()> {
    let (mut before, mut after, mut order) = (first.clone(), first, Order::Cpu);
    loop {
        let rates = rates(&before, &after);
        let drawn = terminal.draw(|frame| draw(frame, &after, &rates, order));
        drawn.context("draw on", "the terminal")?;
        let end = Instant::now() + every;
        while let Some(key) = key(end)? {
            match key {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('s') => order = Order::Slot,
                KeyCode::Char('c') => order = Order::Cpu,
                KeyCode::Char('m') => order = Order::Memory,
                _ => {}
            }
        }
        before = std::mem::replace(&mut after, look(turns)?);
    }
}

/// The next key until `end`; Ctrl-C is `q`.
fn key(end: Instant) -> Result<Option<KeyCode>> {
    let limit = end.saturating_duration_since(Instant::now());
    if !event::poll(limit).context("read", "the terminal")? {
        return Ok(None);
    }
    match event::read().context("read", "the terminal")? {
        Event::Key(key) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            let is_end = key.code == KeyCode::Char('c');
            Ok(Some(if is_end { KeyCode::Char('q') } else { KeyCode::Null }))
        }
        Event::Key(key) => Ok(Some(key.code)),
        _ => Ok(Some(KeyCode::Null)),
    }
}

fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, rates: &[Rate], order: Order) {
    let layout =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]);
    let [above, middle, below] = layout.areas(frame.area());
    frame.render_widget(Paragraph::new(summary(snapshot)), above);
    let head = Style::new().add_modifier(Modifier::REVERSED);
    let rows = sorted(snapshot, rates, order).into_iter().map(|(cells, is_well)| {
        let color = if is_well { Color::Reset } else { Color::Red };
        row(cells).style(Style::new().fg(color))
    });
    let widths = WIDTHS.map(|width| Constraint::Length(width as u16));
    frame.render_widget(
        Table::new(rows, widths).header(row(HEAD.map(String::from)).style(head)),
        middle,
    );
    let keys = "q end   s by slot   c by CPU   m by memory";
    frame.render_widget(Paragraph::new(keys), below);
}

/// Numbers to the right, names to the left.
fn row(cells: [String; 12]) -> Row<'static> {
    let place = |(at, cell): (usize, String)| match at {
        0 | 1 | 11 => Text::from(cell),
        _ => Text::from(cell).right_aligned(),
    };
    Row::new(cells.into_iter().enumerate().map(place))
}

/// The rows, and whether each server is well.
fn sorted(snapshot: &Snapshot, rates: &[Rate], order: Order) -> Vec<([String; 12], bool)> {
    use ipc::status::State;
    let mut servers: Vec<_> = snapshot.servers.iter().zip(rates).collect();
    match order {
        Order::Slot => {}
        Order::Cpu => servers.sort_by(|a, b| b.1.cpu.total_cmp(&a.1.cpu)),
        Order::Memory => servers.sort_by_key(|(server, _)| std::cmp::Reverse(server.pages)),
    }
    let row = |(server, rate): (&ipc::status::SlotStatus, &Rate)| {
        let is_well = !matches!(server.state, State::Down | State::Off);
        (cells(server, rate), is_well)
    };
    servers.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{Order, draw, sorted};
    use crate::live::rates::Rate;
    use crate::live::rates::tests::{server, snapshot};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn rates() -> Vec<Rate> {
        [1.0, 9.0].map(|cpu| Rate { cpu, ..Rate::default() }).to_vec()
    }

    #[test]
    fn the_busiest_comes_first_if_wanted() {
        let system = snapshot(1, vec![server("idle", 0, 0), server("busy", 0, 0)]);
        assert_eq!(sorted(&system, &rates(), Order::Cpu)[0].0[0], "busy");
        assert_eq!(sorted(&system, &rates(), Order::Slot)[0].0[0], "idle");
    }

    #[test]
    fn the_screen_has_the_system_and_its_servers() {
        let system = snapshot(1, vec![server("idle", 0, 0), server("busy", 0, 0)]);
        let mut terminal = Terminal::new(TestBackend::new(140, 6)).unwrap();
        terminal.draw(|frame| draw(frame, &system, &rates(), Order::Cpu)).unwrap();
        let screen = terminal.backend().to_string();
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines[0].contains("web: up 0s") && lines[1].contains("SLOT"), "{screen}");
        assert!(lines[2].contains("busy") && lines[3].contains("idle"), "{screen}");
        assert!(lines[5].contains("q end"), "{screen}");
    }
}
