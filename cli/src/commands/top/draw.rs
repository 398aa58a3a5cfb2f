//! The screen of `splashctl top`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};
use splashdam_api::words::{bytes, count};
use splashdam_api::{Health, PipelineStatus};

use super::watch::Watch;
use crate::commands::status::tone;
use crate::output::{Tone, harmless};

/// As many looks of the lag as are drawn.
const SPARK: usize = 20;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn draw(frame: &mut Frame<'_>, watch: &Watch) {
    let told = remarks(watch);
    let below = (told.len() as u16 + 1).min(frame.area().height / 2);
    let parts = [Constraint::Length(1), Constraint::Min(3), Constraint::Length(below), Constraint::Length(1)];
    let [head, jobs, remarks, foot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(headline(watch)), head);
    let mut state = TableState::default().with_selected(Some(watch.chosen_row()));
    frame.render_stateful_widget(table(watch), jobs, &mut state);
    frame.render_widget(Paragraph::new(told).wrap(Wrap { trim: false }), remarks);
    frame.render_widget(Paragraph::new(footline(watch)), foot);
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Faint => Style::new().add_modifier(Modifier::DIM),
    }
}

fn headline(watch: &Watch) -> Line<'static> {
    let (word, how) = match watch.status.health {
        _ if watch.missing => ("does not answer", Tone::Bad),
        Health::Ok => ("is well", Tone::Good),
        Health::Degraded => ("is degraded", Tone::Bad),
    };
    Line::from(vec![
        Span::raw(format!("splashdam {} ", watch.status.version)),
        Span::styled(word, style(how)),
        Span::styled(format!("   {}", watch.status.data_dir), style(Tone::Faint)),
    ])
}

fn footline(watch: &Watch) -> Line<'static> {
    let keys = Span::styled("↑↓ choose  p pause  r resume  f flush  q quit   ", style(Tone::Faint));
    Line::from(vec![
        keys,
        Span::styled(harmless(&watch.said), style(if watch.missing { Tone::Bad } else { Tone::Plain })),
    ])
}

fn table(watch: &Watch) -> Table<'static> {
    let heads = ["JOB", "STATE", "READ/s", "SHIPPED/s", "BEHIND", "LAST 20 s", "OWED", "IN FLIGHT", "DEAD"];
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Length(11),
        Constraint::Length(10),
        Constraint::Length(SPARK as u16),
        Constraint::Length(10),
        Constraint::Length(9),
        Constraint::Length(7),
    ];
    let rows: Vec<Row<'static>> = watch.status.pipelines.iter().map(|job| row(watch, job)).collect();
    Table::new(rows, widths)
        .header(Row::new(heads).style(style(Tone::Faint)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
}

fn row(watch: &Watch, job: &PipelineStatus) -> Row<'static> {
    let past = watch.past(&job.id);
    let read = past.map_or(0.0, |past| past.read_rate);
    let rate = past.map_or(0.0, |past| past.rate);
    let dead = if job.dead_letters > 0 { Tone::Bad } else { Tone::Plain };
    let lags: Vec<u64> = past.map(|past| past.lags.iter().copied().collect()).unwrap_or_default();
    Row::new(vec![
        Cell::from(harmless(&job.id)),
        Cell::from(Span::styled(job.state.to_string(), style(tone(job.state)))),
        Cell::from(format!("{}/s", bytes(read as u64))),
        Cell::from(count(rate.round() as u64)),
        Cell::from(bytes(job.lag_bytes)),
        Cell::from(spark(&lags)),
        Cell::from(count(job.owed_records)),
        Cell::from(job.in_flight.to_string()),
        Cell::from(Span::styled(count(job.dead_letters), style(dead))),
    ])
}

/// The last values as bars, the largest of them full.
fn spark(values: &[u64]) -> String {
    let last = values.get(values.len().saturating_sub(SPARK)..).unwrap_or_default();
    let most = last.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| {
        let step = (value * (BARS.len() as u64 - 1)).div_ceil(most);
        BARS.get(step as usize).copied().unwrap_or('█')
    };
    last.iter().map(bar).collect()
}

/// What a person should read of the agent and of the chosen job.
fn remarks(watch: &Watch) -> Vec<Line<'static>> {
    let note = |text: &String| Line::styled(format!("! {}", harmless(text)), style(Tone::Warning));
    let mut told: Vec<Line<'static>> = watch.status.notes.iter().map(note).collect();
    let Some(job) = watch.chosen() else {
        told.push(Line::raw("no job is running"));
        return told;
    };
    let line =
        |text: String, tone: Tone| Line::styled(format!("{}: {}", harmless(&job.id), harmless(&text)), style(tone));
    for lane in &job.parked {
        let what = if lane.index == "*" { "everything".to_owned() } else { format!("index {}", lane.index) };
        told.push(line(format!("{what} waits: {}", lane.why), Tone::Bad));
    }
    if let Some(why) = job.why.as_ref().filter(|_| job.parked.is_empty()) {
        told.push(line(why.clone(), tone(job.state)));
    }
    let is_news = |error: &&String| job.why.as_ref().is_none_or(|why| !error.contains(why.as_str()));
    if let Some(error) = job.last_error.as_ref().filter(is_news) {
        told.push(line(format!("last error: {error}"), Tone::Plain));
    }
    if job.dead_letters > 0 {
        told.push(line(format!("splashctl dead-letters ls --pipeline {}", job.id), Tone::Faint));
    }
    told
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use splashdam_api::{ParkedLane, State, Status};

    use super::*;

    fn screen(watch: &Watch) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 12)).unwrap();
        terminal.draw(|frame| draw(frame, watch)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn bars_are_relative_to_the_largest() {
        assert_eq!(spark(&[0, 1, 50, 100]), "▁▂▅█");
        assert_eq!(spark(&[0, 0]), "▁▁");
        assert_eq!(spark(&[]), "");
        assert_eq!(spark(&[7; 40]).chars().count(), SPARK);
    }

    #[test]
    fn rates_reasons_and_keys_are_on_the_screen() {
        let job = |acknowledged| PipelineStatus {
            id: "web".to_owned(),
            state: State::Parked,
            acknowledged_records: acknowledged,
            owed_records: 1200,
            lag_bytes: 2048,
            dead_letters: 3,
            parked: vec![ParkedLane { index: "a".to_owned(), why: "closed\x1b[2J".to_owned(), since: String::new() }],
            ..PipelineStatus::default()
        };
        let status = |acknowledged| Status {
            version: "1.2.3".to_owned(),
            pipelines: vec![job(acknowledged)],
            ..Status::default()
        };
        let (mut watch, begin) = (Watch::default(), Instant::now());
        watch.see(status(0), begin);
        watch.see(status(2500), begin + Duration::from_secs(1));
        let seen = screen(&watch);
        for want in [
            "splashdam 1.2.3 is well",
            "web",
            "parked",
            "2,500",
            "2.0 KiB",
            "1,200",
            "index a waits: closed",
            "p pause",
        ] {
            assert!(seen.contains(want), "no {want} in\n{seen}");
        }
        assert!(!seen.contains('\x1b'));
        watch.miss("is splashdam running?");
        let seen = screen(&watch);
        assert!(seen.contains("does not answer") && seen.contains("is splashdam running?"), "{seen}");
    }
}
