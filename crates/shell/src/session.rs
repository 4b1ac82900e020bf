//! What lasts from one statement to the next: the engine and how results are shown.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use model::Value;
use vtables::{Engine, Limits, Options, Report, human_duration};

use crate::exit::Exit;
use crate::interactive::pager::Paged;
use crate::lex::{self, Kind};
use crate::output::{Output, Stream};
use crate::render::{Format, Look};
use crate::run::{self, Show};
use crate::script::{self, Piece};
use crate::{dot, interrupt, paint, say};

/// How deep a script may read another.
const READ_DEPTH_MAX: usize = 10;

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Quit,
}

/// An engine and how its results are shown.
pub(crate) struct Session {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) params: Vec<(String, Value<'static>)>,
    pub(crate) format: Format,
    pub(crate) headers: bool,
    pub(crate) timer: bool,
    pub(crate) quiet: bool,
    /// A person sits at the terminal: long output goes to a pager.
    pub(crate) interactive: bool,
    /// Where results go in place of standard output.
    pub(crate) file: Option<(PathBuf, BufWriter<File>)>,
    /// Decorate for the terminal: colours, and frames that fit.
    pub(crate) decorated: bool,
    read_depth: usize,
}

impl Session {
    /// A session with the default format.
    pub(crate) fn new(engine: Engine, interactive: bool, decorated: bool) -> Session {
        Session {
            limits: engine.limits(),
            engine,
            params: Vec::new(),
            format: Format::Table,
            headers: true,
            timer: false,
            quiet: false,
            interactive,
            file: None,
            decorated,
            read_depth: 0,
        }
    }

    /// Runs a statement or a dot command. Its error was told.
    pub(crate) fn piece(&mut self, piece: &Piece) -> Result<Flow, Exit> {
        let done = match piece {
            Piece::Sql(sql) => self.sql(sql).map(|_| Flow::Continue),
            Piece::Dot(line) => dot::run(self, line),
        };
        match done {
            // The person closed the pager, and has seen enough of this result only.
            Err(Exit::Done) if self.interactive => Ok(Flow::Continue),
            done => done,
        }
    }

    /// Runs a script to its end, whatever fails in it; the first failure is what it comes to. Only Ctrl-C and
    /// `.quit` end it early, and an output that nobody reads any more.
    pub(crate) fn script(&mut self, text: &str) -> Result<Flow, Exit> {
        if self.read_depth >= READ_DEPTH_MAX {
            say::error(&format!("scripts read each other more than {READ_DEPTH_MAX} deep"));
            return Err(Exit::Usage);
        }
        self.read_depth += 1;
        let mut outcome = Outcome::default();
        for piece in script::pieces(text) {
            if outcome.take(self.piece(&piece)) {
                break;
            }
        }
        self.read_depth -= 1;
        outcome.into_flow()
    }

    /// Runs a statement and prints its rows.
    pub(crate) fn sql(&mut self, sql: &str) -> Result<Report, Exit> {
        interrupt::reset();
        let show = Show { format: self.format, look: self.look(), quiet: self.quiet };
        let options = self.options(sql);
        let report = match &mut self.file {
            Some((_, file)) => run::statement(&mut self.engine, sql, &options, show, file),
            None => {
                let mut out: Box<dyn Output> =
                    if self.interactive { Box::new(Paged::new()) } else { Box::new(Stream::new()) };
                run::statement(&mut self.engine, sql, &options, show, &mut *out)
            }
        }?;
        if self.timer {
            let plural = if report.rows == 1 { "" } else { "s" };
            say::remark(&format!("({} row{plural}, {})", report.rows, human_duration(report.elapsed)));
        }
        Ok(report)
    }

    /// Prints text that is no result, such as help.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Exit> {
        let printed = match &mut self.file {
            Some((_, file)) => print_to(file, text),
            None if self.interactive => print_to(&mut Paged::new(), text),
            None => print_to(&mut Stream::new(), text),
        };
        printed.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::Done,
            _ => {
                say::error(&format!("the output could not be written: {error}"));
                Exit::Failed
            }
        })
    }

    /// The options of a statement: the session's limits, and of its parameters those that the statement names.
    pub(crate) fn options(&self, sql: &str) -> Options {
        let named = |name: &str| {
            lex::tokens(sql).any(|t| t.kind == Kind::Parameter && sql[t.place].get(1..) == Some(name))
        };
        let several = self.read_depth > 0;
        let params = self.params.iter().filter(|(name, _)| !several || named(name)).cloned().collect();
        Options { params, limits: Some(self.limits), ..Options::default() }
    }

    /// What results may look like where they go now.
    pub(crate) fn look(&self) -> Look {
        let plain = Look { headers: self.headers, ..Look::PLAIN };
        if self.file.is_some() {
            return plain;
        }
        let screen = paint::screen();
        let decorated = self.decorated && screen.is_some();
        Look {
            terminal: io::IsTerminal::is_terminal(&io::stdout()),
            colours: decorated && paint::stdout_colours(),
            width: screen.map(|(width, _)| width).filter(|_| decorated),
            ..plain
        }
    }
}

/// What a run of pieces comes to.
#[derive(Default)]
pub(crate) struct Outcome {
    failed: Option<Exit>,
    quit: bool,
}

impl Outcome {
    /// Takes the end of a piece. Answers whether it ends the run.
    pub(crate) fn take(&mut self, done: Result<Flow, Exit>) -> bool {
        match done {
            Ok(Flow::Continue) => false,
            Ok(Flow::Quit) => {
                self.quit = true;
                true
            }
            Err(exit) => {
                let ends = matches!(exit, Exit::Done | Exit::Interrupted);
                self.failed = self.failed.or(Some(exit));
                ends
            }
        }
    }

    /// The first failure; otherwise whether to go on.
    pub(crate) fn into_flow(self) -> Result<Flow, Exit> {
        match self.failed {
            Some(exit) => Err(exit),
            None if self.quit => Ok(Flow::Quit),
            None => Ok(Flow::Continue),
        }
    }
}

fn print_to(out: &mut dyn Output, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.done()
}
