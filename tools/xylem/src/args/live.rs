//! What can be said about a running domain.

use clap::{Args, ValueEnum};

use super::On;

/// A running domain.
#[derive(Debug, Args)]
pub struct In {
    /// The domain's name; that of the only one by default.
    #[arg(long = "in", value_name = "DOMAIN")]
    pub domain: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub on: On,
}

/// `ps`.
#[derive(Debug, Args)]
pub struct Ps {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
    /// As one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `top`.
#[derive(Debug, Args)]
pub struct Top {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1.0)]
    pub every: f32,
}

/// `log`.
#[derive(Debug, Args)]
pub struct Log {
    /// Only the lines of this server.
    pub server: Option<String>,
    /// Goes on with new lines as they come.
    #[arg(long, short)]
    pub follow: bool,
    /// So many lines.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub lines: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// `restart` and `start`.
#[derive(Debug, Args)]
pub struct Act {
    /// The server: the name of its slot.
    pub server: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// The server: the name of its slot.
    pub server: String,
    /// How: with `null` it goes on at address 0, and faults there.
    #[arg(long, value_enum)]
    pub with: Option<Way>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
}

/// How a server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By a jump to address 0.
    Null,
}

/// `crash`.
#[derive(Debug, Args)]
pub struct Crash {
    /// The number of one death; all that are kept by default.
    pub number: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}
