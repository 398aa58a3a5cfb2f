//! Who may use a socket, in words, for the message after "permission denied".

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Names the group that may use `path`, from the nearest part of the path that can be looked at.
pub(crate) fn describe(path: &Path) -> String {
    let seen = path.ancestors().find_map(|part| std::fs::metadata(part).ok());
    let Some(seen) = seen else {
        return "it can't be looked at".to_owned();
    };
    let (group, user) = (group_name(seen.gid()), user_name(seen.uid()));
    if user == group && user != "root" {
        // So it is with the service, whose group is there to be joined.
        return format!(
            "it is for user {user} and members of group {group}: run this with sudo, or join the group (sudo usermod -aG {group} $USER, then log in again)"
        );
    }
    format!("it is for user {user} and members of group {group}: run this as one of them, or with sudo")
}

/// The user's name in `/etc/passwd`, else the number.
pub fn user_name(id: u32) -> String {
    name_in("/etc/passwd", id)
}

/// The group's name in `/etc/group`, else the number.
pub fn group_name(id: u32) -> String {
    name_in("/etc/group", id)
}

/// The name that belongs to `id` in a file of the form `name:x:id:…`, else the number.
fn name_in(file: &str, id: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    find(&text, id).map_or_else(|| id.to_string(), str::to_owned)
}

fn find(text: &str, id: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_number() {
        let text = "root:x:0:\nadm:x:4:syslog\nbroken\nsplashdam:x:998:\n";
        assert_eq!(find(text, 998), Some("splashdam"));
        assert_eq!(find(text, 4), Some("adm"));
        assert_eq!(find(text, 5), None);
    }

    #[test]
    fn a_path_in_a_folder_is_described_by_what_can_be_seen_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let text = describe(&folder.path().join("nothing/here.sock"));
        assert!(text.contains("members of group"), "{text}");
    }
}
