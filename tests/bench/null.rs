//! The counting endpoint as a process of its own, so that its work is not counted with anybody else's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::null_endpoint::NullEndpoint;
use e2e::wait;
use serde_json::Value;

use crate::Options;

/// `bench null`: prints its URL, then serves until it is killed.
pub(crate) fn serve(options: &Options) -> bool {
    let endpoint = NullEndpoint::start(options.number("port", 0) as u16);
    println!("{}", endpoint.url());
    loop {
        wait::pass(Duration::from_secs(3600));
    }
}

/// A child process that runs [`serve`].
pub(crate) struct NullProcess {
    child: Child,
    url: String,
}

impl NullProcess {
    /// On `port`; 0 for a free one.
    pub(crate) fn start(port: u16) -> NullProcess {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["null", "--port", &port.to_string()]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        NullProcess { child, url: url.trim().to_owned() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has counted, with what is missing of lines `0..written`.
    pub(crate) fn tally(&self, written: u64) -> Value {
        self.get(&format!("/_null/tally/{written}"))
    }

    /// Keeps documents from now on, so that they can be looked up.
    pub(crate) fn keep(&self) {
        self.get("/_null/keep");
    }

    /// The beginning of the first body.
    pub(crate) fn sample(&self) -> String {
        self.get("/_null/sample").as_str().unwrap().to_owned()
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: null\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for NullProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
