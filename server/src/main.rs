//! The `driftless` binary: `serve`, `check-config`, `replay`.

use driftless_server::{
    cli::{self, EXIT_FAILED, EXIT_USAGE, Task},
    config::Config,
    open_files,
    server::{self, Server},
    telemetry,
};
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Task::Serve(Ok(resolved))) => serve(resolved.config),
        Ok(Task::CheckConfig(Ok(resolved))) => {
            // Whoever reads it may have seen enough.
            let _ = write!(io::stdout(), "{resolved}");
            ExitCode::SUCCESS
        }
        Ok(Task::Serve(Err(e)) | Task::CheckConfig(Err(e))) => fail(EXIT_USAGE, &e),
        Ok(Task::Replay(file)) => {
            let replayed = cli::replay(&file);
            if replayed.exit_code == EXIT_USAGE {
                return fail(EXIT_USAGE, &replayed.line);
            }
            println!("{}", replayed.line);
            ExitCode::from(replayed.exit_code)
        }
        Err(e) => {
            let _ = e.print();
            ExitCode::from(if e.use_stderr() { EXIT_USAGE } else { 0 })
        }
    }
}

fn serve(config: Config) -> ExitCode {
    let telemetry = match telemetry::init(&config.log, config.log_format) {
        Ok(telemetry) => telemetry,
        Err(e) => return fail(EXIT_USAGE, &e),
    };
    open_files::prepare_for(config.max_connections);
    match server::run(Server::new(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            telemetry.say(format_args!("driftless: {e}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn fail(code: u8, reason: &dyn Display) -> ExitCode {
    eprintln!("driftless: {reason}");
    ExitCode::from(code)
}
