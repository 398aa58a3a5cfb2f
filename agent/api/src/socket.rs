//! Where the control socket is, and how to reach it when its path is too long for the kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The service's socket.
pub const DEFAULT_SOCKET: &str = "/run/splashdam/control.sock";

/// The socket's name within a data directory, for an agent that is no service.
pub const SOCKET_NAME: &str = "control.sock";

/// A socket address holds at most 108 bytes with its final NUL.
const LONGEST: usize = 107;

/// A path that fits a socket address and means the given one. Holds the folder open while it lives: a long path
/// goes through `/proc/self/fd`.
#[derive(Debug)]
pub struct ShortPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl ShortPath {
    /// # Errors
    /// The path is too long and its folder can't be opened, or has no file name.
    pub fn of(path: &Path) -> io::Result<ShortPath> {
        if path.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(ShortPath { path: path.to_owned(), _folder: None });
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"));
        };
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(ShortPath { path, _folder: Some(folder) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_in_a_very_deep_folder_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        let socket = deep.join(SOCKET_NAME);
        let _listener = UnixListener::bind(ShortPath::of(&socket).unwrap().path()).unwrap();
        assert!(socket.exists());
        UnixStream::connect(ShortPath::of(&socket).unwrap().path()).unwrap();
    }
}
