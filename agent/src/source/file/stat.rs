//! What the file system says of a file, in one `statx`.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags};
use rustix::io::Errno;

/// Which file it is, as far as the file system can tell: two files at different times may share device and
/// inode, seldom the birth time as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Identity {
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// Nanoseconds since 1970, 0 where the file system does not keep it.
    pub(super) btime: i64,
}

impl Identity {
    /// The same device and inode, and no birth time that speaks against it.
    pub(super) fn may_be(self, other: Identity) -> bool {
        self.dev == other.dev && self.is_likely(other)
    }

    /// As [`Identity::may_be`], without the device, whose number may change when the machine starts again.
    pub(super) fn is_likely(self, other: Identity) -> bool {
        self.ino == other.ino && (self.btime == other.btime || self.btime == 0 || other.btime == 0)
    }

    /// The same inode, born in the same moment. A time in whole seconds says too little: within a second a file can
    /// be deleted and its inode given to another one.
    pub(super) fn is_surely(self, other: Identity) -> bool {
        self.ino == other.ino && self.btime == other.btime && self.btime % 1_000_000_000 != 0
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    pub(super) identity: Identity,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) mtime: i64,
    /// No name leads to it any more.
    pub(super) unlinked: bool,
    pub(super) kind: FileType,
}

impl Stat {
    /// Follows symbolic links.
    pub(super) fn of(path: &Path) -> Result<Stat, Errno> {
        rustix::fs::statx(CWD, path, AtFlags::empty(), wanted()).map(|found| Stat::new(&found))
    }

    pub(super) fn of_open(file: impl AsFd) -> Result<Stat, Errno> {
        rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted()).map(|found| Stat::new(&found))
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind == FileType::Directory
    }

    fn new(found: &Statx) -> Stat {
        let nanos = |sec: i64, nsec: u32| sec.saturating_mul(1_000_000_000).saturating_add(i64::from(nsec));
        let born = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Stat {
            identity: Identity {
                dev: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
                ino: found.stx_ino,
                btime: if born { nanos(found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { 0 },
            },
            size: found.stx_size,
            mtime: nanos(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
            unlinked: found.stx_nlink == 0,
            kind: FileType::from_raw_mode(found.stx_mode.into()),
        }
    }
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

/// Events of other machines do not reach our kernel: such folders are listed on a timer alone.
pub(super) fn is_remote(path: &Path) -> bool {
    const REMOTE: [u64; 8] = [
        0x6969,      // NFS
        0x517B,      // SMB
        0xFF53_4D42, // CIFS
        0xFE53_4D42, // SMB2
        0x0102_1997, // 9P
        0x00C3_6400, // Ceph
        0x6573_5546, // FUSE
        0x5346_414F, // AFS
    ];
    rustix::fs::statfs(path).is_ok_and(|fs| REMOTE.contains(&((fs.f_type as u64) & 0xFFFF_FFFF)))
}
