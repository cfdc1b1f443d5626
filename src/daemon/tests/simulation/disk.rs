//! A disk that forgets: a shim over SQLite's own VFS that knows which writes were synced. On a given I/O it takes
//! the picture that a kill or a power cut would leave, or fails. Folders that are not simulated pass through.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

use rusqlite::ffi;

use super::Random;
use crate::core::model::sorted::SortedMap;

/// A power cut tears writes at these bounds, in bytes.
const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; what it wrote is the kernel's and stays.
    Kill,
    /// What was not synced is kept, torn or lost.
    PowerCut,
}

/// What shall happen, at which write, truncation or sync from now on.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    Crash(Crash, u64),
    /// From the given I/O on, so many fail with this SQLite error.
    Fail {
        at: u64,
        times: u64,
        code: c_int,
    },
}

enum Pending {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Pending {
    fn apply(&self, image: &mut Vec<u8>, keep: usize) {
        match self {
            Self::Truncate(len) => image.truncate(*len),
            Self::Write(at, data) => {
                let data = &data[..keep.min(data.len())];
                if image.len() < at + data.len() {
                    image.resize(at + data.len(), 0);
                }
                image[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

/// One simulated folder.
struct Disk {
    files: SortedMap<PathBuf, File>,
    plan: Option<Plan>,
    done: u64,
    random: Random,
    /// The picture that the crash left; set once.
    picture: Option<SortedMap<PathBuf, Vec<u8>>>,
}

fn disks() -> MutexGuard<'static, SortedMap<PathBuf, Disk>> {
    static DISKS: OnceLock<Mutex<SortedMap<PathBuf, Disk>>> = OnceLock::new();
    let disks = DISKS.get_or_init(Mutex::default);
    disks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that SQLite writes below `folder` goes over the simulated disk until [`end`].
pub fn begin(folder: &Path, random: Random) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(register);
    let disk = Disk {
        files: SortedMap::new(),
        plan: None,
        done: 0,
        random,
        picture: None,
    };
    disks().insert(folder.to_owned(), disk);
}

pub fn end(folder: &Path) {
    disks().remove(folder);
}

pub fn plan(folder: &Path, plan: Option<Plan>) {
    if let Some(disk) = disks().get_mut(folder) {
        disk.plan = plan;
        disk.done = 0;
    }
}

/// True once the crash has happened: what is acknowledged from now on does not count.
pub fn crashed(folder: &Path) -> bool {
    disks()
        .get(folder)
        .is_some_and(|disk| disk.picture.is_some())
}

/// Takes the picture now, if no I/O took it.
pub fn crash_now(folder: &Path, how: Crash) {
    if let Some(disk) = disks()
        .get_mut(folder)
        .filter(|disk| disk.picture.is_none())
    {
        disk.picture = Some(picture(folder, disk, how));
    }
}

/// Writes the picture of the crash into `target`: what the next start finds.
pub fn develop(folder: &Path, target: &Path) {
    let picture = disks()
        .get_mut(folder)
        .and_then(|disk| disk.picture.take())
        .expect("a crash");
    for (path, bytes) in picture {
        let path = target.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// All files as the crash leaves them. The WAL's index is shared memory: it is gone.
fn picture(folder: &Path, disk: &mut Disk, how: Crash) -> SortedMap<PathBuf, Vec<u8>> {
    let mut found = SortedMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.to_string_lossy();
            let Ok(now) = fs::read(&path) else { continue };
            if name.ends_with("-shm") {
                continue;
            }
            let image = match disk.files.get(&path) {
                Some(file) if how == Crash::PowerCut => torn(file, &mut disk.random),
                _ => now,
            };
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), image);
        }
    }
    found
}

/// The synced bytes and some of what came after: up to a cut all of it, the cut one in part, then by chance.
fn torn(file: &File, random: &mut Random) -> Vec<u8> {
    let mut image = file.durable.clone();
    let cut = random.place(file.pending.len() + 1);
    for (at, pending) in file.pending.iter().enumerate() {
        let sectors = random.place(9);
        match at.cmp(&cut) {
            std::cmp::Ordering::Less => pending.apply(&mut image, usize::MAX),
            std::cmp::Ordering::Equal => pending.apply(&mut image, sectors * SECTOR),
            std::cmp::Ordering::Greater if sectors < 3 => pending.apply(&mut image, usize::MAX),
            std::cmp::Ordering::Greater => {}
        }
    }
    image
}

/// Is a file on a simulated disk?
enum Simulated {
    Yes,
    No,
}

/// What an I/O on `path` shall do: go on, or fail with a code.
fn step(path: &Path, change: impl FnOnce(&mut File)) -> Result<Simulated, c_int> {
    let mut disks = disks();
    let Some((folder, disk)) = disks
        .iter_mut()
        .find(|(folder, _)| path.starts_with(folder))
    else {
        return Ok(Simulated::No);
    };
    disk.done += 1;
    match disk.plan {
        Some(Plan::Crash(how, at)) if at == disk.done && disk.picture.is_none() => {
            disk.picture = Some(picture(folder, disk, how));
        }
        Some(Plan::Fail { at, times, code }) if (at..at + times).contains(&disk.done) => {
            return Err(code);
        }
        _ => {}
    }
    change(disk.files.entry(path.to_owned()).or_default());
    Ok(Simulated::Yes)
}

/// SQLite allocates `szOsFile` bytes for it; the real file's own follow.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    path: *mut PathBuf,
}

/// The handle and the real file behind `file`.
///
/// SAFETY: SQLite hands the methods below only files that `open` filled: a `Handle`, and right after it, as
/// `szOsFile` says, the real VFS's file.
unsafe fn parts(file: *mut ffi::sqlite3_file) -> (*const PathBuf, *mut ffi::sqlite3_file) {
    let handle = file.cast::<Handle>();
    // SAFETY: as above; both lie within one allocation.
    unsafe { ((*handle).path, handle.add(1).cast()) }
}

/// Calls a method of the real file.
macro_rules! real {
    ($file:ident, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: `parts` has the conditions; the real VFS set its own methods, all of version 3, when it opened.
        unsafe {
            let (_, real) = parts($file);
            match (*(*real).pMethods).$method {
                Some(method) => method(real $(, $argument)*),
                None => ffi::SQLITE_IOERR as _,
            }
        }
    }};
}

macro_rules! pass {
    ($($name:ident $method:ident ( $($argument:ident : $type:ty),* ) -> $result:ty;)*) => {
        $( unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $type)*) -> $result {
            real!(file, $method $(, $argument)*)
        } )*
    };
}

pass! {
    read xRead(buffer: *mut c_void, amount: c_int, at: i64) -> c_int;
    file_size xFileSize(size: *mut i64) -> c_int;
    lock xLock(level: c_int) -> c_int;
    unlock xUnlock(level: c_int) -> c_int;
    check_reserved_lock xCheckReservedLock(out: *mut c_int) -> c_int;
    file_control xFileControl(op: c_int, argument: *mut c_void) -> c_int;
    sector_size xSectorSize() -> c_int;
    characteristics xDeviceCharacteristics() -> c_int;
    shm_map xShmMap(region: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    shm_unmap xShmUnmap(delete: c_int) -> c_int;
    fetch xFetch(at: i64, amount: c_int, out: *mut *mut c_void) -> c_int;
    unfetch xUnfetch(at: i64, page: *mut c_void) -> c_int;
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: see `real!`.
    unsafe {
        let (_, real) = parts(file);
        if let Some(method) = (*(*real).pMethods).xShmBarrier {
            method(real);
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = real!(file, xClose);
    // SAFETY: `open` made the box and nobody else frees it; SQLite closes a file once.
    unsafe { drop(Box::from_raw(parts(file).0.cast_mut())) };
    code
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    amount: c_int,
    at: i64,
) -> c_int {
    // SAFETY: the path lives until `close`; SQLite gives `amount` bytes at `data`.
    let (path, bytes) = unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), amount as usize);
        (&*parts(file).0, bytes)
    };
    let write = || Pending::Write(offset(at), bytes.to_vec());
    match step(path, |file| file.pending.push(write())) {
        Ok(_) => real!(file, xWrite, data, amount, at),
        Err(code) => code,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: the path lives until `close`.
    let path = unsafe { &*parts(file).0 };
    match step(path, |file| {
        file.pending.push(Pending::Truncate(offset(size)))
    }) {
        Ok(_) => real!(file, xTruncate, size),
        Err(code) => code,
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the path lives until `close`.
    let path = unsafe { &*parts(file).0 };
    let synced = step(path, |file| {
        for pending in std::mem::take(&mut file.pending) {
            pending.apply(&mut file.durable, usize::MAX);
        }
    });
    match synced {
        // What was synced is remembered here: the machine that runs the test will not crash.
        Ok(Simulated::Yes) => ffi::SQLITE_OK,
        Ok(Simulated::No) => real!(file, xSync, flags),
        Err(code) => code,
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: `vfs` is the one of `register`, whose `pAppData` is the real one; `file` has the size it asked for.
    unsafe {
        let real_vfs = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let handle = file.cast::<Handle>();
        let real: *mut ffi::sqlite3_file = handle.add(1).cast();
        (*handle).base.pMethods = ptr::null();
        let Some(open) = (*real_vfs).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let code = open(real_vfs, name, real, flags, out);
        if (*real).pMethods.is_null() {
            return code;
        }
        let path = if name.is_null() {
            PathBuf::new()
        } else {
            PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()))
        };
        opened(&path);
        (*handle).path = Box::into_raw(Box::new(path));
        (*handle).base.pMethods = &METHODS;
        code
    }
}

/// An offset within a file.
fn offset(at: i64) -> usize {
    usize::try_from(at).expect("SQLite gives no negative offsets")
}

/// What a file holds when it is opened first is on the disk.
fn opened(path: &Path) {
    let mut disks = disks();
    let disk = disks
        .iter_mut()
        .find(|(folder, _)| path.starts_with(folder));
    if let Some((_, disk)) = disk {
        disk.files.entry(path.to_owned()).or_insert_with(|| File {
            durable: fs::read(path).unwrap_or_default(),
            pending: Vec::new(),
        });
    }
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: as in `open`; SQLite gives a name that ends with a zero.
    unsafe {
        let path = Path::new(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
        for disk in disks().values_mut() {
            disk.files.remove(path);
        }
        let real_vfs = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        (*real_vfs).xDelete.map_or(ffi::SQLITE_IOERR, |delete| {
            delete(real_vfs, name, sync_folder)
        })
    }
}

/// Makes the shim the default VFS of this process. It takes over all of the real one's other functions,
/// which do not look at their first argument.
fn register() {
    // SAFETY: the real VFS is static within SQLite; the copy is leaked, so it lives as long.
    unsafe {
        let real = ffi::sqlite3_vfs_find(ptr::null());
        let shim = ffi::sqlite3_vfs {
            szOsFile: (*real).szOsFile + c_int::try_from(std::mem::size_of::<Handle>()).unwrap(),
            zName: c"forgetful".as_ptr(),
            pAppData: real.cast(),
            pNext: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..*real
        };
        let code = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(shim)), 1);
        assert_eq!(code, ffi::SQLITE_OK);
    }
}
