// failing_disk BACKING MOUNT shows what is in BACKING at MOUNT, as a disk that fails when it is
// told to. On standard input come lines "OPERATION ERROR": from then on each such operation (write,
// allocate, create, or all of them) fails with that errno, 0 for none; a line "ok" answers each. It
// ends when standard input does, and the mount with it.

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include <dirent.h>

namespace {

constexpr std::array<std::string_view, 3> kOperations = {"write", "allocate", "create"};
enum Operation : std::uint8_t { kWrite, kAllocate, kCreate };

int backing = -1;
std::array<std::atomic<int>, kOperations.size()> errors{};

int failure(Operation operation) { return -errors[operation].load(); }

/// below gives the name in the backing folder: all paths begin with a slash.
const char* below(const char* path) { return path[1] == 0 ? "." : path + 1; }

int result(long done) { return done < 0 ? -errno : static_cast<int>(done); }

int fd_of(const fuse_file_info* file) { return static_cast<int>(file->fh); }

void* start(fuse_conn_info* /*connection*/, fuse_config* config) {
  config->hard_remove = 1;  // a removed file has no name, as on a disk
  config->attr_timeout = 0;
  config->entry_timeout = 0;
  config->use_ino = 1;
  return nullptr;
}

int get_state(const char* path, struct stat* out, fuse_file_info* file) {
  return result(file != nullptr ? fstat(fd_of(file), out)
                                : fstatat(backing, below(path), out, AT_SYMLINK_NOFOLLOW));
}

/// give_to_caller: what it makes is its own, where we may say so.
int give_to_caller(const char* path) {
  const fuse_context* caller = fuse_get_context();
  return getuid() != 0 ? 0
                       : result(fchownat(backing, below(path), caller->uid, caller->gid,
                                         AT_SYMLINK_NOFOLLOW));
}

int make_folder(const char* path, mode_t mode) {
  const int error = failure(kCreate);
  const int made = error != 0 ? error : result(mkdirat(backing, below(path), mode));
  return made != 0 ? made : give_to_caller(path);
}

int remove_file(const char* path) { return result(unlinkat(backing, below(path), 0)); }

int remove_folder(const char* path) { return result(unlinkat(backing, below(path), AT_REMOVEDIR)); }

int change_mode(const char* path, mode_t mode, fuse_file_info* /*file*/) {
  return result(fchmodat(backing, below(path), mode, 0));
}

int change_owner(const char* path, uid_t user, gid_t group, fuse_file_info* /*file*/) {
  return result(fchownat(backing, below(path), user, group, AT_SYMLINK_NOFOLLOW));
}

int change_size(const char* path, off_t size, fuse_file_info* file) {
  if (file != nullptr) {
    return result(ftruncate(fd_of(file), size));
  }
  const int fd = openat(backing, below(path), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  const int done = fd < 0 ? -errno : result(ftruncate(fd, size));
  if (fd >= 0) {
    close(fd);
  }
  return done;
}

int open_with(const char* path, int flags, mode_t mode, fuse_file_info* file) {
  const int fd = openat(backing, below(path), flags | O_CLOEXEC | O_NOFOLLOW, mode);
  file->fh = static_cast<std::uint64_t>(fd);
  return fd < 0 ? -errno : 0;
}

int open_file(const char* path, fuse_file_info* file) {
  return open_with(path, file->flags & ~O_APPEND, 0, file);
}

int create_file(const char* path, mode_t mode, fuse_file_info* file) {
  const int error = failure(kCreate);
  const int made = error != 0 ? error : open_with(path, file->flags | O_CREAT, mode, file);
  return made != 0 ? made : give_to_caller(path);
}

int read_file(const char* /*path*/, char* out, std::size_t size, off_t at, fuse_file_info* file) {
  return result(pread(fd_of(file), out, size, at));
}

int write_file(const char* /*path*/, const char* bytes, std::size_t size, off_t at,
               fuse_file_info* file) {
  const int error = failure(kWrite);
  return error != 0 ? error : result(pwrite(fd_of(file), bytes, size, at));
}

int allocate(const char* /*path*/, int mode, off_t at, off_t size, fuse_file_info* file) {
  const int error = failure(kAllocate);
  return error != 0 ? error : result(fallocate(fd_of(file), mode, at, size));
}

int let_go(const char* /*path*/, fuse_file_info* file) { return result(close(fd_of(file))); }

int sync_file(const char* /*path*/, int only_data, fuse_file_info* file) {
  return result(only_data != 0 ? fdatasync(fd_of(file)) : fsync(fd_of(file)));
}

int state_of_disk(const char* /*path*/, struct statvfs* out) {
  return result(fstatvfs(backing, out));
}

int read_folder(const char* path, void* out, fuse_fill_dir_t fill, off_t /*offset*/,
                fuse_file_info* /*file*/, fuse_readdir_flags /*flags*/) {
  DIR* folder = fdopendir(openat(backing, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder == nullptr) {
    return -errno;
  }
  while (const dirent* entry = readdir(folder)) {
    fill(out, entry->d_name, nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  }
  closedir(folder);
  return 0;
}

/// obey follows standard input to its end, then ends the program as SIGTERM does.
void obey() {
  char operation[16];
  int error = 0;
  while (std::scanf("%15s %d", operation, &error) == 2) {
    for (std::size_t i = 0; i < kOperations.size(); ++i) {
      if (kOperations[i] == operation || std::string_view(operation) == "all") {
        errors[i] = error;
      }
    }
    std::puts("ok");
    std::fflush(stdout);
  }
  kill(getpid(), SIGTERM);
}

fuse_operations operations() {
  fuse_operations found{};
  found.init = start;
  found.getattr = get_state;
  found.mkdir = make_folder;
  found.unlink = remove_file;
  found.rmdir = remove_folder;
  found.chmod = change_mode;
  found.chown = change_owner;
  found.truncate = change_size;
  found.open = open_file;
  found.create = create_file;
  found.read = read_file;
  found.write = write_file;
  found.fallocate = allocate;
  found.release = let_go;
  found.fsync = sync_file;
  found.statfs = state_of_disk;
  found.readdir = read_folder;
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: failing_disk BACKING MOUNT\n", stderr);
    return 2;
  }
  backing = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (backing < 0) {
    std::perror(argv[1]);
    return 1;
  }
  umask(0);
  fuse_args arguments{};
  fuse_opt_add_arg(&arguments, argv[0]);
  if (getuid() == 0) {
    fuse_opt_add_arg(&arguments, "-oallow_other,default_permissions");
  }
  const fuse_operations table = operations();
  fuse* disk = fuse_new(&arguments, &table, sizeof table, nullptr);
  if (disk == nullptr || fuse_mount(disk, argv[2]) != 0) {
    return 1;
  }
  fuse_set_signal_handlers(fuse_get_session(disk));
  std::thread(obey).detach();
  std::puts("mounted");
  std::fflush(stdout);
  fuse_loop(disk);
  fuse_remove_signal_handlers(fuse_get_session(disk));
  fuse_unmount(disk);
  fuse_destroy(disk);
  return 0;
}
