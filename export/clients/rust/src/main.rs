//! Streams a CSV file through an exported model that learns as it goes; prints the quantiles after every value.
//!
//! `forecast MODEL_FOLDER VALUES.csv [STREAM]`, where MODEL_FOLDER "-" is the model inside the library this was linked to,
//! and STREAM a file where the stream is kept: it goes on from there if the file exists, and is saved there in the end.
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

#[allow(dead_code)] // a program uses a part of what a library offers
mod usp;

/// Numbers of a line of CSV.
fn numbers(line: &str) -> Result<Vec<f64>, std::num::ParseFloatError> {
    line.split(',').map(|field| field.trim().parse()).collect()
}

fn run(folder: &str, path: &str, kept: Option<&str>) -> Result<(), Box<dyn Error>> {
    let model = usp::Model::load(Some(folder).filter(|f| *f != "-"))?;
    let mut stream = match kept {
        Some(file) if Path::new(file).exists() => model.load_stream(file)?,
        _ => model.stream()?,
    };
    let mut times = Vec::new();
    let mut out = BufWriter::new(io::stdout().lock());
    let file = File::open(path).map_err(|e| format!("{path}: {e}"))?;
    for (row, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| format!("{path}: {e}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let y = match numbers(&line) {
            Ok(y) => y,
            Err(_) if row == 0 => continue, // the header
            Err(e) => return Err(format!("{path}, line {}: {e}", row + 1).into()),
        };
        let start = Instant::now();
        let quantiles = stream.push(&y)?;
        times.push(start.elapsed().as_nanos() as f64 * 1e-3);
        for (i, q) in quantiles.iter().enumerate() {
            write!(out, "{}{q:.16e}", if i > 0 { "," } else { "" })?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    if let Some(file) = kept {
        stream.save(file)?;
    }
    if !times.is_empty() {
        times.sort_by(f64::total_cmp);
        eprintln!("median push latency: {:.1} us", times[times.len() / 2]);
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 3 && arguments.len() != 4 {
        eprintln!("usage: forecast MODEL_FOLDER VALUES.csv [STREAM]");
        return ExitCode::from(2);
    }
    match run(&arguments[1], &arguments[2], arguments.get(3).map(String::as_str)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
