//! What can be said on the command line.
//!
//! Invariant: every command has an example in its help. It decides nothing.

mod live;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use rig::Target;

pub use live::{Act, Crash, Events, In, Kill, Log, Ps, Top, Way};

/// Builds, packs, runs and watches systems of isolated servers.
#[derive(Debug, Parser)]
#[command(name = "cargo xylem", bin_name = "cargo xylem", version, about, max_term_width = 100)]
#[command(after_help = "Example:\n  cargo xylem run web     then open http://127.0.0.1:8080/")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds and packs a system, boots it as a domain, and follows its console.
    #[command(
        after_help = "Examples:\n  cargo xylem run web\n  cargo xylem run web --files ./site --port 9000 --detach\n  \
                            cargo xylem run web --on ssh://root@xenhost"
    )]
    Run(Box<Run>),
    /// Builds a system, checks it, and tells its slots, its memory and its sizes.
    #[command(after_help = "Example:\n  cargo xylem check web")]
    Check(Check),
    /// Builds and checks a system, and writes its boot image.
    #[command(after_help = "Example:\n  cargo xylem pack web -o web.img")]
    Pack(Pack),
    /// Begins a server or a system, ready to run.
    #[command(subcommand)]
    New(New),
    /// Ends a domain, or a server of a running domain for good.
    #[command(after_help = "Examples:\n  cargo xylem stop web\n  cargo xylem stop httpd --in web")]
    Stop(Stop),
    /// Tells the servers of a running domain, and what they use.
    #[command(after_help = "Examples:\n  cargo xylem ps\n  cargo xylem ps --in web --json")]
    Ps(Ps),
    /// Shows the servers of a running domain, again and again; `q` ends it.
    #[command(after_help = "Example:\n  cargo xylem top --in web")]
    Top(Top),
    /// Tells the last lines of a running domain's log, all or those of a server.
    #[command(
        after_help = "Examples:\n  cargo xylem log -n 50\n  cargo xylem log -f httpd --in web"
    )]
    Log(Log),
    /// Tells what happened in a running domain: servers that died, were started, were stopped.
    #[command(after_help = "Example:\n  cargo xylem events --in web")]
    Events(Events),
    /// Ends a server of a running domain and starts it again.
    #[command(after_help = "Example:\n  cargo xylem restart httpd --in web")]
    Restart(Act),
    /// Starts a server of a running domain that was stopped.
    #[command(after_help = "Example:\n  cargo xylem start httpd --in web")]
    Start(Act),
    /// Ends a server of a running domain as a fault would.
    #[command(
        after_help = "Examples:\n  cargo xylem kill httpd --in web\n  cargo xylem kill --with null httpd"
    )]
    Kill(Kill),
    /// Tells why servers of a running domain died, and where in their sources.
    #[command(after_help = "Examples:\n  cargo xylem crash\n  cargo xylem crash 3 --in web --json")]
    Crash(Crash),
    /// Follows the console of a running domain; what is typed goes to it.
    #[command(after_help = "Example:\n  cargo xylem console web")]
    Console(Console),
    /// Runs the tests: all that CI runs, or those whose name contains a word.
    #[command(
        after_help = "Examples:\n  cargo xylem test\n  cargo xylem test --fast\n  cargo xylem test isolation"
    )]
    Test(Test),
    /// Measures, beside goals and a Linux guest on the same Xen: one bench, or all of them.
    #[command(
        after_help = "Examples:\n  cargo xylem bench\n  cargo xylem bench boot --rounds 9\n  cargo xylem bench --json"
    )]
    Bench(Bench),
    /// The real Xen and the real domain 0 in QEMU, which systems run on by default.
    #[command(subcommand)]
    Rig(Rig),
}

/// Where the domain 0 is.
#[derive(Debug, Args)]
pub struct On {
    /// Which Xen: `rig` (in QEMU), `xl` (this machine is a domain 0), or `ssh://[USER@]HOST[:PORT]`.
    #[arg(long = "on", value_name = "WHERE", default_value = "rig", value_parser = target)]
    pub target: Target,
}

fn target(given: &str) -> Result<Target, String> {
    given.parse().map_err(|error: rig::Error| error.to_string())
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// A system of boot/systems, or the path of a manifest.
    pub system: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub on: On,
    /// The domain's name; the system's own by default.
    #[arg(long)]
    pub name: Option<String>,
    /// The port of 127.0.0.1 where the page of a system with a network is served.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Memory of the domain in MiB; what the manifest says by default.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(8..=65536))]
    pub memory: Option<u32>,
    /// Virtual processors of the domain; what the manifest says by default.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub vcpus: Option<u32>,
    /// A folder to make a disk of and attach, read-only.
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// A further disk image to attach, writable. May be given more than once.
    #[arg(long, value_name = "FILE")]
    pub disk: Vec<PathBuf>,
    /// The bridge in domain 0 that the network device joins.
    #[arg(long, default_value = "xenbr0")]
    pub bridge: String,
    /// Overrides a setting of the manifest. May be given more than once.
    #[arg(long, value_name = "SERVER.KEY=VALUE")]
    pub set: Vec<String>,
    /// Further words for the kernel's command line.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub extra: String,
    /// Returns as soon as the page answers; the domain stays.
    #[arg(long)]
    pub detach: bool,
    /// Tells results as JSON, one object a line, on standard output.
    #[arg(long)]
    pub json: bool,
    /// Shows what the compiler says.
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    pub built: Built,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// A system of boot/systems, or the path of a manifest.
    pub system: String,
    /// Shows what the compiler says.
    #[arg(long, short)]
    pub verbose: bool,
}

/// `pack`.
#[derive(Debug, Args)]
pub struct Pack {
    /// A system of boot/systems, or the path of a manifest.
    pub system: String,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Shows what the compiler says.
    #[arg(long, short)]
    pub verbose: bool,
}

/// `new`.
#[derive(Debug, Subcommand)]
pub enum New {
    /// Writes servers/NAME: a library with a test, and a main that wires it.
    #[command(after_help = "Example:\n  cargo xylem new server lamp\n  cargo test -p lamp")]
    Server {
        /// Its name: small letters, digits and `-`.
        name: String,
    },
    /// Writes boot/systems/NAME.toml: a console, a log, and one server.
    #[command(
        after_help = "Examples:\n  cargo xylem new system lamp\n  cargo xylem new system night --server lamp"
    )]
    System {
        /// Its name: small letters, digits and `-`.
        name: String,
        /// The server; the one of the same name by default, or else hello.
        #[arg(long)]
        server: Option<String>,
    },
}

/// `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The domain's name; with --in, the server's.
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: In,
}

/// `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Only the whole-system tests whose name contains this.
    pub filter: Option<String>,
    /// Without the lints, the documents and the slow whole-system tests.
    #[arg(long)]
    pub fast: bool,
}

/// `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// The bench; all of them by default.
    #[arg(value_enum)]
    pub name: Option<BenchName>,
    /// How often each measurement is made; figures are medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Tells the figures as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Shows what the compiler says.
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    pub built: Built,
}

/// A kernel and an image that are there already.
#[derive(Debug, Clone, Args)]
pub struct Built {
    /// Uses this kernel instead of building one; with --image.
    #[arg(long, value_name = "ELF", requires = "image")]
    kernel: Option<PathBuf>,
    /// Uses this packed image instead of packing one; with --kernel.
    #[arg(long, value_name = "FILE", requires = "kernel")]
    image: Option<PathBuf>,
}

impl Built {
    /// Both, if they were given.
    pub fn pair(&self) -> Option<(&Path, &Path)> {
        self.kernel.as_deref().zip(self.image.as_deref())
    }
}

/// The benches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchName {
    /// From `xl create` to the first answer of the page; sizes; memory.
    Boot,
    /// Requests per second and their latency; the round trip of a ping.
    Http,
    /// Instructions of each trap, with QEMU counting them.
    Ipc,
    /// Instructions of digests, ciphers, checksums and copies in a server.
    Vectors,
    /// Calls on several vCPUs and between them.
    Smp,
}

/// `console`.
#[derive(Debug, Args)]
pub struct Console {
    /// The domain's name.
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub on: On,
}

/// `rig`.
#[derive(Debug, Subcommand)]
pub enum Rig {
    /// Sets the rig up where that is needed, and starts it.
    #[command(after_help = "Example:\n  cargo xylem rig up")]
    Up,
    /// Ends the rig and all domains on it. What was downloaded and made stays.
    #[command(after_help = "Example:\n  cargo xylem rig down")]
    Down,
    /// Tells whether the rig runs, and what runs on it.
    #[command(after_help = "Example:\n  cargo xylem rig status --json")]
    Status {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Runs a command in domain 0, as root; its exit status is ours.
    #[command(after_help = "Example:\n  cargo xylem rig exec xl list")]
    Exec {
        /// Seconds that it may take.
        #[arg(long, default_value_t = 60.0)]
        limit: f32,
        /// The command, for a shell.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Prints what Xen has said.
    #[command(after_help = "Example:\n  cargo xylem rig logs")]
    Logs,
    /// Copies a file into domain 0.
    #[command(after_help = "Example:\n  cargo xylem rig put ./tool /root/tool")]
    Put {
        /// The file, here.
        file: PathBuf,
        /// Its path in domain 0.
        path: String,
    },
    /// Copies a file out of domain 0.
    #[command(after_help = "Example:\n  cargo xylem rig get /var/log/xen/xl-web.log ./xl-web.log")]
    Get {
        /// The path in domain 0.
        path: String,
        /// The file, here.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let has =
                command.get_after_help().is_some_and(|help| help.to_string().contains("Example"));
            assert!(has || command.has_subcommands(), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn a_wrong_place_is_refused_with_the_right_forms() {
        let error =
            Cli::try_parse_from(["xylem", "run", "web", "--on", "qemu"]).unwrap_err().to_string();
        assert!(error.contains("ssh://[USER@]HOST"), "{error}");
    }
}
