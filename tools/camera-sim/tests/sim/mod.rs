//! A VISCA camera in a process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};

/// A running simulator; it ends with the test.
pub struct Sim {
    process: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
    /// Where it is reached.
    pub address: String,
}

impl Sim {
    pub fn start(link: &str, faults: &str, seed: u64) -> Self {
        let mut process = Process::new(env!("CARGO_BIN_EXE_camera-sim"));
        process.args(link.split(' '));
        if !faults.is_empty() {
            process.args(["--faults", faults]);
        }
        process.args(["--seed", &seed.to_string()]);
        let mut process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = process.stdin.take().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut sim = Self { process, orders, said, address: String::new() };
        sim.address = sim.line();
        sim
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.said.read_line(&mut line).unwrap() > 0, "the simulator has ended");
        line.trim().to_owned()
    }

    pub fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    pub fn state(&mut self) -> serde_json::Value {
        self.order("state");
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
