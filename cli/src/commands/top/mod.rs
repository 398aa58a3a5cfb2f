//! `splashctl top`: all jobs live, once a second, on a terminal. Keys pause, resume and flush.
//!
//! Promises: the terminal is as it was, however this ends; an agent that is gone is told and looked for again.

mod draw;
mod watch;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::bail;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;
use splashdam_api::Client;
use tokio::task::JoinHandle;

use self::watch::Watch;
use crate::exit::Exit;
use crate::output::Output;

const EVERY: Duration = Duration::from_secs(1);
/// A key is answered within this.
const KEYS: Duration = Duration::from_millis(50);

pub(crate) async fn run(client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    if output.is_json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("top needs a terminal; `splashctl status --json` is for programs");
    }
    // Whoever asks for the wrong agent should read why, and not look at an empty screen.
    let mut watch = Watch::default();
    watch.see(client.status().await?, Instant::now());
    let mut terminal = ratatui::try_init()?;
    let ended = live(client, &mut watch, &mut terminal).await;
    ratatui::try_restore()?;
    ended.map(|()| Exit::Done)
}

/// What a key wants of the agent.
enum Order {
    Pause(bool),
    Flush,
}

async fn live(client: &Client, watch: &mut Watch, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
    let mut looked = Instant::now();
    let mut under_way: Option<JoinHandle<String>> = None;
    let mut place = TableState::default();
    loop {
        terminal.draw(|frame| draw::draw(frame, watch, &mut place))?;
        if let Some(key) = next_key()? {
            match key {
                KeyEvent { code: KeyCode::Char('q') | KeyCode::Esc, .. } => return Ok(()),
                KeyEvent { code: KeyCode::Char('c'), modifiers: KeyModifiers::CONTROL, .. } => return Ok(()),
                KeyEvent { code: KeyCode::Up | KeyCode::Char('k'), .. } => watch.choose(-1),
                KeyEvent { code: KeyCode::Down | KeyCode::Char('j'), .. } => watch.choose(1),
                KeyEvent { code: KeyCode::PageUp, .. } => watch.choose(-page(terminal)),
                KeyEvent { code: KeyCode::PageDown, .. } => watch.choose(page(terminal)),
                KeyEvent { code: KeyCode::Home, .. } => watch.choose(isize::MIN),
                KeyEvent { code: KeyCode::End, .. } => watch.choose(isize::MAX),
                KeyEvent { code: KeyCode::Char('p'), .. } => order(Order::Pause(true), client, watch, &mut under_way),
                KeyEvent { code: KeyCode::Char('r'), .. } => order(Order::Pause(false), client, watch, &mut under_way),
                KeyEvent { code: KeyCode::Char('f'), .. } => order(Order::Flush, client, watch, &mut under_way),
                _ => {}
            }
        }
        // Lets what was ordered go on.
        tokio::task::yield_now().await;
        if under_way.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(done) = under_way.take()
        {
            watch.say(done.await?);
            looked = Instant::now() - EVERY;
        }
        if looked.elapsed() >= EVERY {
            looked = Instant::now();
            match client.status().await {
                Ok(status) => watch.see(status, Instant::now()),
                Err(error) => watch.miss(&error.to_string()),
            }
        }
    }
}

/// Rows that a page key goes: rather too few than too many.
fn page(terminal: &DefaultTerminal) -> isize {
    terminal.size().map_or(10, |size| (size.height / 2).max(1).cast_signed().into())
}

/// The key that was pressed meanwhile, if one was.
fn next_key() -> io::Result<Option<KeyEvent>> {
    if !event::poll(KEYS)? {
        return Ok(None);
    }
    match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => Ok(Some(key)),
        _ => Ok(None),
    }
}

/// Begins what was ordered for the chosen job, one thing at a time.
fn order(order: Order, client: &Client, watch: &mut Watch, under_way: &mut Option<JoinHandle<String>>) {
    let Some(job) = watch.chosen().map(|job| job.id.clone()) else { return };
    if under_way.is_some() {
        watch.say("one thing after the other: the last is not done yet".to_owned());
        return;
    }
    let client = client.clone();
    watch.say(match order {
        Order::Pause(true) => format!("{job}: pausing"),
        Order::Pause(false) => format!("{job}: resuming"),
        Order::Flush => format!("{job}: flushing"),
    });
    *under_way = Some(tokio::spawn(async move {
        let done = match order {
            Order::Pause(true) => {
                client.pause(Some(&job)).await.map(|_| format!("{job}: paused; what was read is shipped"))
            }
            Order::Pause(false) => client.resume(Some(&job)).await.map(|_| format!("{job}: reading goes on")),
            Order::Flush => client.flush(Some(&job)).await.map(|flushed| match flushed.complete() {
                true => format!("{job}: all is acknowledged"),
                false => format!("{job}: something is still owed"),
            }),
        };
        done.unwrap_or_else(|error| error.to_string())
    }));
}
