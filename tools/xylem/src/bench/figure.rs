//! One measured figure, and how it is told: a row of a table, or a JSON object on a line.
//!
//! Invariant: pure. What is not there (a goal, a rival, a spread) is absent from the JSON and blank in the table. It
//! measures nothing.

use serde::Serialize;
use serde_json::Number;

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The smaller one: times, sizes, counts of instructions.
    Lower,
    /// The larger one: requests per second, ratios.
    Higher,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    bench: &'static str,
    name: String,
    unit: &'static str,
    value: f64,
    better: Better,
    spread: Option<(f64, f64)>,
    goal: Option<f64>,
    rival: Option<(String, f64)>,
}

impl Figure {
    /// A figure of which less is better. `name` is in `snake_case`; `unit` is `ms`, `us`, `bytes`, `instructions`, …
    pub fn new(
        bench: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        value: f64,
    ) -> Self {
        let (better, spread, goal, rival) = (Better::Lower, None, None, None);
        Self { bench, name: name.into(), unit, value, better, spread, goal, rival }
    }

    /// More is better.
    pub fn higher(self) -> Self {
        Self { better: Better::Higher, ..self }
    }

    /// The least and the greatest of the rounds; the value is their median.
    pub fn spread(self, low: f64, high: f64) -> Self {
        Self { spread: Some((low, high)), ..self }
    }

    /// What it shall at most be (at least, where more is better).
    pub fn goal(self, goal: f64) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// The same figure of somebody else, measured in the same way.
    pub fn rival(self, who: impl Into<String>, value: f64) -> Self {
        Self { rival: Some((who.into(), value)), ..self }
    }

    /// Whether it is as good as its goal; `None` without a goal.
    pub fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| match self.better {
            Better::Lower => self.value <= goal,
            Better::Higher => self.value >= goal,
        })
    }

    /// How many times better than the rival it is (below 1: worse).
    fn ratio(&self) -> Option<f64> {
        let (_, rival) = self.rival.as_ref()?;
        let ratio = match self.better {
            Better::Lower => rival / self.value,
            Better::Higher => self.value / rival,
        };
        ratio.is_finite().then_some(ratio)
    }

    /// As one JSON object.
    pub fn json(&self) -> String {
        let line = Line {
            bench: self.bench,
            name: &self.name,
            unit: self.unit,
            value: number(self.value),
            low: self.spread.map(|(low, _)| number(low)),
            high: self.spread.map(|(_, high)| number(high)),
            better: (self.better == Better::Higher).then_some("higher"),
            goal: self.goal.map(number),
            rival: self.rival.as_ref().map(|(who, _)| who.as_str()),
            rival_value: self.rival.as_ref().map(|(_, value)| number(*value)),
        };
        // Nothing in it can fail: no map, no key that is not text.
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn row(&self) -> [String; 6] {
        let goal = match (self.goal, self.is_met()) {
            (Some(goal), Some(met)) => {
                let sign = if self.better == Better::Lower { "<=" } else { ">=" };
                format!("{sign} {} {}", text(goal), if met { "met" } else { "NOT MET" })
            }
            _ => String::new(),
        };
        let spread = self
            .spread
            .map_or_else(String::new, |(low, high)| format!("{} .. {}", text(low), text(high)));
        let rival = self.rival.as_ref().map_or_else(String::new, |(_, value)| text(*value));
        let ratio = self.ratio().map_or_else(String::new, |ratio| format!("{} times", text(ratio)));
        [
            self.name.clone(),
            format!("{} {}", text(self.value), self.unit),
            spread,
            goal,
            rival,
            ratio,
        ]
    }
}

/// The JSON object, in the order in which it is written.
#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    name: &'a str,
    unit: &'a str,
    value: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<Option<Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<Option<Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    better: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Option<Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rival: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rival_value: Option<Option<Number>>,
}

/// The figures of one bench as a table; the first rival that is named heads its column.
pub fn table(figures: &[Figure]) -> String {
    let rival = figures.iter().find_map(|figure| figure.rival.as_ref());
    let head = [
        figures.first().map_or("", |figure| figure.bench),
        "median",
        "least .. most",
        "goal",
        rival.map_or("", |(who, _)| who),
        if rival.is_some() { "better by" } else { "" },
    ];
    let rows: Vec<_> =
        std::iter::once(head.map(String::from)).chain(figures.iter().map(Figure::row)).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String; 6], widths: &[usize; 6]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        // Names and goals stand at the left, numbers at the right.
        if matches!(column, 0 | 3) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    });
    let cells: Vec<String> = cells.collect();
    format!("{}\n", cells.join("  ").trim_end())
}

/// Three places after the point are enough, and whole numbers have none; `null` for what is not a number.
fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded.fract() == 0.0 && rounded.abs() < EXACT {
        #[allow(clippy::cast_possible_truncation)]
        return Some(Number::from(rounded as i64));
    }
    Number::from_f64(rounded)
}

/// About three digits that count.
fn text(value: f64) -> String {
    let digits = match value.abs() {
        whole if whole >= 100.0 || whole.fract() == 0.0 => 0,
        tens if tens >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer() -> Figure {
        Figure::new("boot", "first_answer", "ms", 412.5).goal(500.0).rival("Linux 6.12 PVH", 4800.0)
    }

    #[test]
    fn json_has_what_is_there_and_nothing_else() {
        let line = answer().json();
        assert_eq!(
            line,
            r#"{"bench":"boot","name":"first_answer","unit":"ms","value":412.5,"goal":500,"rival":"Linux 6.12 PVH","rival_value":4800}"#
        );
        let read = |figure: &Figure| serde_json::from_str::<Value>(&figure.json()).unwrap();
        let expected = json!({
            "bench": "boot", "name": "first_answer", "unit": "ms", "value": 412.5, "goal": 500,
            "rival": "Linux 6.12 PVH", "rival_value": 4800,
        });
        assert_eq!(read(&answer()), expected);
        let bare = Figure::new("http", "requests_c8", "1/s", 100.0).higher().spread(90.0, 110.25);
        let expected = json!({
            "bench": "http", "name": "requests_c8", "unit": "1/s", "value": 100, "low": 90, "high": 110.25,
            "better": "higher",
        });
        assert_eq!(read(&bare), expected);
        assert!(!bare.json().contains('\n'));
    }

    #[test]
    fn a_goal_is_met_from_the_side_that_is_better() {
        assert_eq!(answer().is_met(), Some(true));
        assert_eq!(answer().goal(412.0).is_met(), Some(false));
        assert_eq!(answer().higher().is_met(), Some(false));
        assert_eq!(Figure::new("boot", "image", "bytes", 1.0).is_met(), None);
    }

    #[test]
    fn the_ratio_says_how_much_better_we_are() {
        assert!((answer().ratio().unwrap() - 11.636).abs() < 0.001);
        let more = Figure::new("http", "requests", "1/s", 200.0).higher().rival("Linux", 100.0);
        assert_eq!(more.ratio(), Some(2.0));
        assert_eq!(Figure::new("http", "errors", "", 0.0).rival("Linux", 0.0).ratio(), None);
    }

    #[test]
    fn columns_of_the_table_stand_below_one_another() {
        let figures = [
            answer(),
            Figure::new("boot", "kernel_size", "bytes", 140_000.0)
                .goal(131_072.0)
                .spread(1.0, 2.25),
        ];
        let table = table(&figures);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("boot ") && lines[0].contains("Linux 6.12 PVH"), "{table}");
        assert!(lines[1].contains("<= 500 met") && lines[1].ends_with("11.6 times"), "{table}");
        assert!(
            lines[2].contains("1 .. 2.25") && lines[2].ends_with("<= 131072 NOT MET"),
            "{table}"
        );
        assert_eq!(lines[0].find("goal"), lines[1].find("<= 500"), "{table}");
        assert_eq!(lines[1].find("<= 500"), lines[2].find("<= 131072"), "{table}");
    }
}
