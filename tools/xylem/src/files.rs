//! Makes a FAT32 disk image of a folder.
//!
//! Invariant: all regular files and folders below it are in the image, byte for byte; what FAT cannot hold (a file of
//! 4 GiB, a name it does not allow, anything that is no file) is an error that names it.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fatfs::{Dir, FatType, FileSystem, FormatVolumeOptions, FsOptions, ReadWriteSeek};

use crate::failure::{Failure, Result};

/// Bytes of a cluster: large, so that large files are written in few steps.
const CLUSTER: u64 = 4096;
/// FAT32 has at least so many clusters; with fewer, readers take it for FAT16.
const LEAST_CLUSTERS: u64 = 65_600;
/// For the file system's own tables, and folders.
const SPARE: u64 = 4 << 20;

/// Makes the image.
///
/// # Errors
/// [`Failure::Disk`] with the file that could not be taken over.
pub fn image_of(folder: &Path, image: &mut File) -> Result<()> {
    let failed = |reason: String| Failure::Disk { folder: folder.to_path_buf(), reason };
    if !folder.is_dir() {
        return Err(failed("it is no folder".into()));
    }
    let content = size_of(folder).map_err(&failed)?;
    let size = (content + content / 200 + SPARE)
        .max(LEAST_CLUSTERS * CLUSTER + SPARE)
        .next_multiple_of(CLUSTER);
    fill(folder, image, size).map_err(failed)
}

fn fill(folder: &Path, image: &mut File, size: u64) -> std::result::Result<(), String> {
    image.set_len(size).map_err(|error| error.to_string())?;
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(CLUSTER as u32)
        .volume_label(*b"FILES      ");
    fatfs::format_volume(&mut *image, options).map_err(|error| error.to_string())?;
    image.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
    let system = FileSystem::new(image, FsOptions::new()).map_err(|error| error.to_string())?;
    copy_folder(folder, &system.root_dir())?;
    system.unmount().map_err(|error| error.to_string())
}

fn copy_folder<T: ReadWriteSeek>(from: &Path, to: &Dir<'_, T>) -> std::result::Result<(), String> {
    for entry in sorted(from)? {
        let path = entry.path();
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let name = entry.file_name();
        let name =
            name.to_str().ok_or_else(|| format!("{}: its name is not UTF-8", path.display()))?;
        let kind = fs::metadata(&path).map_err(named)?;
        if kind.is_dir() {
            copy_folder(&path, &to.create_dir(name).map_err(named)?)?;
        } else if kind.is_file() {
            copy_file(&path, to, name).map_err(named)?;
        } else {
            return Err(format!("{} is neither a file nor a folder", path.display()));
        }
    }
    Ok(())
}

fn copy_file<T: ReadWriteSeek>(path: &Path, to: &Dir<'_, T>, name: &str) -> std::io::Result<()> {
    let mut from = BufReader::new(File::open(path)?);
    let mut file = to.create_file(name)?;
    file.truncate()?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return file.flush();
        }
        file.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

/// The bytes that the files take, in whole clusters.
fn size_of(folder: &Path) -> std::result::Result<u64, String> {
    let mut sum = CLUSTER;
    for entry in sorted(folder)? {
        let path = entry.path();
        let data = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if data.is_file() && data.len() > u64::from(u32::MAX) {
            return Err(format!("{} has 4 GiB or more, which FAT32 cannot hold", path.display()));
        }
        sum += if data.is_dir() { size_of(&path)? } else { data.len().next_multiple_of(CLUSTER) };
    }
    Ok(sum)
}

fn sorted(folder: &Path) -> std::result::Result<Vec<fs::DirEntry>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(image: &mut File, path: &str) -> Vec<u8> {
        image.seek(SeekFrom::Start(0)).unwrap();
        let system = FileSystem::new(image, FsOptions::new()).unwrap();
        assert_eq!(system.fat_type(), FatType::Fat32);
        let mut content = Vec::new();
        system.root_dir().open_file(path).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn files_are_there_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> =
            (0..700_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::create_dir_all(folder.path().join("a folder/inside")).unwrap();
        fs::write(folder.path().join("a folder/inside/A long name, with ümlaut.bin"), &content)
            .unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        let mut image = tempfile::tempfile().unwrap();
        image_of(folder.path(), &mut image).unwrap();
        assert!(read_back(&mut image, "a folder/inside/A long name, with ümlaut.bin") == content);
        assert!(read_back(&mut image, "empty").is_empty());
    }

    #[test]
    fn what_is_no_folder_is_an_error_that_names_it() {
        let mut image = tempfile::tempfile().unwrap();
        let error = image_of(Path::new("/no/such/folder"), &mut image).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder") && error.contains("no folder"), "{error}");
    }

    #[test]
    fn a_name_that_fat_does_not_allow_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a:b"), "x").unwrap();
        let mut image = tempfile::tempfile().unwrap();
        let error = image_of(folder.path(), &mut image).unwrap_err().to_string();
        assert!(error.contains("a:b"), "{error}");
    }
}
