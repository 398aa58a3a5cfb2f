//! `splashctl test-connection NAME`: whether a job, or a named connection, reaches what it is to reach.

use splashdam_api::words::connections_in_words;
use splashdam_api::{Client, Connections};

use crate::exit::Exit;
use crate::output::{Output, Tone, paint};

pub(crate) async fn run(name: &str, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let tested = client.test_connection(name).await?;
    output.show(&tested, |colour| render(&tested, colour))?;
    Ok(if tested.connectable() { Exit::Done } else { Exit::NotConnectable })
}

fn render(tested: &Connections, colour: bool) -> String {
    connections_in_words(tested, |text, good| paint(text, if good { Tone::Good } else { Tone::Bad }, colour))
}

#[cfg(test)]
mod tests {
    use splashdam_api::Connection;

    use super::*;

    #[test]
    fn each_connection_says_whether_and_why() {
        let good = Connection {
            what: "source: Logstore p/l at http://h".to_owned(),
            connectable: true,
            found: vec!["2 shards".to_owned()],
            ..Connection::default()
        };
        let bad = Connection {
            what: "sink: Elasticsearch at http://es:9200".to_owned(),
            step: Some("TCP".to_owned()),
            reason: Some("refused".to_owned()),
            ..Connection::default()
        };
        let tested = Connections { name: "j".to_owned(), connections: vec![good, bad] };
        let want = "\
source: Logstore p/l at http://h
    Connectable
    2 shards
sink: Elasticsearch at http://es:9200
    Not connectable (TCP): refused
";
        assert_eq!(render(&tested, false), want);
        assert!(!tested.connectable());
    }
}
