//! The screen of `splashctl top`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};
use splashdam_api::words::{bytes, count, plural};
use splashdam_api::{Health, PipelineStatus, State};

use super::watch::Watch;
use crate::commands::status::tone;
use crate::output::{Tone, harmless};

/// Names get so much room at least, and columns are left out for so much.
const NAME_MIN: u16 = 8;
const NAME_MAX: u16 = 16;
/// As many looks of the lag as are drawn.
const SPARK: usize = 20;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws all of it; `place` is how far the list of jobs is scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, watch: &Watch, place: &mut TableState) {
    let told = remarks(watch);
    let width = frame.area().width;
    let lines: u16 = told.iter().map(|line| (line.width() as u16).div_ceil(width.max(1)).max(1)).sum();
    let below = (lines + 1).min(frame.area().height / 2);
    let parts = [Constraint::Length(1), Constraint::Min(3), Constraint::Length(below), Constraint::Length(1)];
    let [head, jobs, remarks, foot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(headline(watch)), head);
    place.select(Some(watch.chosen_row()));
    frame.render_stateful_widget(table(watch, width), jobs, place);
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
        Span::raw(format!("   {}", summary(&watch.status.pipelines))),
        Span::styled(format!("   {}", watch.status.data_dir), style(Tone::Faint)),
    ])
}

/// `50 jobs: 43 running, 7 waiting; 21 dead letters`
fn summary(jobs: &[PipelineStatus]) -> String {
    let mut states: Vec<(State, u64)> = Vec::new();
    for job in jobs {
        match states.iter_mut().find(|(state, _)| *state == job.state) {
            Some((_, number)) => *number += 1,
            None => states.push((job.state, 1)),
        }
    }
    states.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let states: Vec<String> = states.iter().map(|(state, number)| format!("{number} {state}")).collect();
    let dead: u64 = jobs.iter().map(|job| job.dead_letters).sum();
    let dead = if dead > 0 { format!("; {}", plural(dead, "dead letter")) } else { String::new() };
    match states.as_slice() {
        [] => "no jobs".to_owned(),
        states => format!("{}: {}{dead}", plural(jobs.len() as u64, "job"), states.join(", ")),
    }
}

fn footline(watch: &Watch) -> Line<'static> {
    let keys = Span::styled("↑↓ choose  p pause  r resume  f flush  q quit", style(Tone::Faint));
    if watch.said.is_empty() {
        return Line::from(keys);
    }
    let said = Span::styled(harmless(&watch.said), style(if watch.missing { Tone::Bad } else { Tone::Plain }));
    Line::from(vec![said, Span::raw("   "), keys])
}

/// What of a job is shown beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    State,
    Read,
    Shipped,
    Behind,
    Lags,
    Owed,
    InFlight,
    Dead,
}

impl Column {
    const ALL: [Column; 8] = [
        Column::State,
        Column::Read,
        Column::Shipped,
        Column::Behind,
        Column::Lags,
        Column::Owed,
        Column::InFlight,
        Column::Dead,
    ];
    /// What a narrow screen does without, first this.
    const SPARED: [Column; 5] = [Column::Lags, Column::InFlight, Column::Read, Column::Behind, Column::Shipped];

    fn head(self) -> &'static str {
        match self {
            Column::State => "STATE",
            Column::Read => "READ/s",
            Column::Shipped => "SHIPPED/s",
            Column::Behind => "BEHIND",
            Column::Lags => "LAST 20 s",
            Column::Owed => "OWED",
            Column::InFlight => "IN FLIGHT",
            Column::Dead => "DEAD",
        }
    }

    fn width(self) -> u16 {
        match self {
            Column::State | Column::InFlight => 9,
            Column::Read | Column::Shipped => 11,
            Column::Behind | Column::Owed => 10,
            Column::Lags => SPARK as u16,
            Column::Dead => 7,
        }
    }

    fn cell(self, watch: &Watch, job: &PipelineStatus) -> Cell<'static> {
        let past = watch.past(&job.id);
        match self {
            Column::State => Cell::from(Span::styled(job.state.to_string(), style(tone(job.state)))),
            Column::Read => Cell::from(format!("{}/s", bytes(past.map_or(0.0, |past| past.read_rate) as u64))),
            Column::Shipped => Cell::from(count(past.map_or(0.0, |past| past.rate).round() as u64)),
            Column::Behind => Cell::from(bytes(job.lag_bytes)),
            Column::Lags => {
                let lags: Vec<u64> = past.map(|past| past.lags.iter().copied().collect()).unwrap_or_default();
                Cell::from(spark(&lags))
            }
            Column::Owed => Cell::from(count(job.owed_records)),
            Column::InFlight => Cell::from(job.in_flight.to_string()),
            Column::Dead => {
                let dead = if job.dead_letters > 0 { Tone::Bad } else { Tone::Plain };
                Cell::from(Span::styled(count(job.dead_letters), style(dead)))
            }
        }
    }
}

/// The columns that leave room for names of `name` characters on a screen of `width`.
fn columns(width: u16, name: u16) -> Vec<Column> {
    let mut columns = Column::ALL.to_vec();
    for spared in Column::SPARED {
        let taken: u16 = columns.iter().map(|column| column.width() + 1).sum();
        if taken + name <= width {
            break;
        }
        columns.retain(|column| *column != spared);
    }
    columns
}

fn table(watch: &Watch, width: u16) -> Table<'static> {
    let jobs = &watch.status.pipelines;
    let longest = jobs.iter().map(|job| job.id.chars().count()).max().unwrap_or(0);
    let columns = columns(width, (longest as u16).clamp(NAME_MIN, NAME_MAX));
    let heads = std::iter::once("JOB").chain(columns.iter().map(|column| column.head()));
    let widths: Vec<Constraint> = std::iter::once(Constraint::Fill(1))
        .chain(columns.iter().map(|column| Constraint::Length(column.width())))
        .collect();
    let row = |job: &PipelineStatus| {
        let name = Cell::from(harmless(&job.id));
        Row::new(std::iter::once(name).chain(columns.iter().map(|column| column.cell(watch, job))))
    };
    let rows: Vec<Row<'static>> = jobs.iter().map(row).collect();
    Table::new(rows, widths)
        .header(Row::new(heads).style(style(Tone::Faint)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
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
    use splashdam_api::{ParkedLane, Status};

    use super::*;

    fn screen(watch: &Watch) -> String {
        screen_of(watch, (110, 12), &mut TableState::default())
    }

    fn screen_of(watch: &Watch, (width, height): (u16, u16), place: &mut TableState) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, watch, place)).unwrap();
        terminal.backend().to_string()
    }

    fn fifty() -> Status {
        let job = |n: u64| PipelineStatus {
            id: format!("job-{n:02}"),
            state: if n % 10 == 5 { State::Waiting } else { State::Running },
            why: (n % 10 == 5).then(|| "can't connect: http://127.0.0.1:1: ".to_owned() + &"refused ".repeat(20)),
            dead_letters: if n == 3 { 12 } else { 0 },
            ..PipelineStatus::default()
        };
        Status { version: "1.2.3".to_owned(), pipelines: (0..50).map(job).collect(), ..Status::default() }
    }

    #[test]
    fn on_a_narrow_screen_names_stay_and_the_rest_is_left_out() {
        let mut watch = Watch::default();
        watch.see(fifty(), Instant::now());
        for (width, left_out) in [(160, &[][..]), (80, &["LAST 20 s", "IN FLIGHT"]), (40, &["READ/s", "BEHIND"])] {
            let seen = screen_of(&watch, (width, 24), &mut TableState::default());
            for want in ["JOB", "job-00", "STATE", "OWED", "DEAD", "12"] {
                assert!(seen.contains(want), "no {want} at {width}:\n{seen}");
            }
            assert!(left_out.iter().all(|head| !seen.contains(head)), "{seen}");
        }
        assert_eq!(columns(200, 16), Column::ALL);
        assert!(
            screen_of(&watch, (120, 24), &mut TableState::default())
                .contains("50 jobs: 45 running, 5 waiting; 12 dead letters")
        );
    }

    #[test]
    fn fifty_jobs_are_scrolled_through_and_a_long_reason_is_shown_whole() {
        let (mut watch, mut place) = (Watch::default(), TableState::default());
        watch.see(fifty(), Instant::now());
        watch.choose(isize::MAX);
        let seen = screen_of(&watch, (80, 24), &mut place);
        assert!(seen.contains("job-49") && !seen.contains("job-00"), "{seen}");
        watch.choose(-4);
        let seen = screen_of(&watch, (80, 24), &mut place);
        assert!(seen.contains("job-45") && seen.matches("refused").count() == 20, "{seen}");
        watch.choose(isize::MIN);
        let seen = screen_of(&watch, (80, 24), &mut place);
        assert!(seen.contains("job-00") && !seen.contains("job-49"), "{seen}");
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
