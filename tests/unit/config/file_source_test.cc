#include "config/file_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

/// Each test has a fresh folder that only we may write to.
class SystemFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "bastiond-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override {
    chmod(folder.c_str(), 0700);
    std::filesystem::remove_all(folder);
  }
  std::string write(const std::string& name, mode_t mode, std::string_view text = "text") const {
    const std::string path = folder + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  static std::string error(const std::string& path, FileKind kind = FileKind::kText) {
    const auto contents = SystemFiles().read(path, kind);
    return contents ? "" : contents.error();
  }
  std::string folder;
};

TEST_F(SystemFilesTest, ReadsAnOrdinaryFile) {
  const auto contents = SystemFiles().read(write("a", 0644, "hello\n"), FileKind::kText);
  ASSERT_TRUE(contents.has_value());
  EXPECT_EQ(as_text(*contents), "hello\n");
  EXPECT_EQ(SystemFiles().read(write("empty", 0600, ""), FileKind::kText)->size(), 0U);
}

TEST_F(SystemFilesTest, sec_093_OthersMustNotWriteToIt) {
  for (const mode_t mode : {0666U, 0664U, 0646U, 0620U, 0602U}) {
    EXPECT_NE(error(write("a", mode)).find("others may write to it (mode 0"), std::string::npos)
        << mode;
  }
  EXPECT_EQ(error(write("a", 0666)), "others may write to it (mode 0666): chmod go-w it");
}

TEST_F(SystemFilesTest, sec_093_PrivateKeysAreReadByTheirOwnerOnly) {
  EXPECT_EQ(error(write("key", 0600), FileKind::kPrivateKey), "");
  EXPECT_EQ(error(write("key", 0400), FileKind::kPrivateKey), "");
  EXPECT_EQ(error(write("key", 0604), FileKind::kPrivateKey),
            "others may read this private key (mode 0604): chmod 600 it");
  EXPECT_EQ(error(write("key", 0640), FileKind::kPrivateKey), "") << "our own group may read it";
  EXPECT_EQ(error(write("key", 0604), FileKind::kText), "");
}

TEST_F(SystemFilesTest, sec_093_SymbolicLinksAreRefused) {
  write("real", 0600);
  std::filesystem::create_symlink(folder + "/real", folder + "/link");
  EXPECT_EQ(error(folder + "/link"), "it is a symbolic link: name the file itself");
  // A folder on the way may be one.
  std::filesystem::create_directory_symlink(folder, folder + "/dir");
  EXPECT_EQ(error(folder + "/dir/real"), "");
}

TEST_F(SystemFilesTest, sec_092_OnlyRegularFilesAreOpened) {
  EXPECT_EQ(error(folder + "/"), "it is a folder, expected a file");
  EXPECT_EQ(error(folder + "/."), "it is a folder, expected a file");
  std::filesystem::create_directory(folder + "/sub");
  EXPECT_EQ(error(folder + "/sub"), "it is a folder, expected a file");
  ASSERT_EQ(mkfifo((folder + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(error(folder + "/fifo"), "it is not a regular file") << "and did not wait for a writer";
  EXPECT_NE(error("/dev/null"), "");
  EXPECT_EQ(error(folder + "/missing"), "cannot open it: No such file or directory");
  EXPECT_EQ(error(folder + "/missing", FileKind::kPrivateKey),
            "cannot open it: No such file or directory; make it with: ssh-keygen -q -t ed25519 -N "
            "'' -f " +
                folder + "/missing");
  EXPECT_EQ(error(folder + "/user_ca.pub", FileKind::kPrivateKey),
            "by its name it is a public key: name the private one, without .pub");
  EXPECT_EQ(error(folder + "/missing/x"), "cannot open its folder: No such file or directory");
  EXPECT_EQ(error(""), "it is not a path");
  EXPECT_EQ(error(std::string("/etc/passwd\0x", 13)), "it is not a path");
}

TEST_F(SystemFilesTest, sec_093_ItsFolderIsNotEverybodys) {
  const std::string path = write("a", 0600);
  ASSERT_EQ(chmod(folder.c_str(), 0777), 0);
  EXPECT_EQ(error(path), "others may write to its folder (mode 0777): chmod go-w the folder");
  ASSERT_EQ(chmod(folder.c_str(), 01777), 0);
  EXPECT_EQ(error(path), "") << "sticky, like /tmp";
}

TEST_F(SystemFilesTest, sec_093_NoFolderOnTheWayIsEverybodys) {
  const std::string real = std::filesystem::canonical(folder).string();
  std::filesystem::create_directories(folder + "/open/inner/keys");
  const std::string path = write("open/inner/keys/a", 0600);
  std::filesystem::create_directory_symlink(folder + "/open/inner", folder + "/link");
  EXPECT_EQ(error(path), "");
  EXPECT_EQ(error(folder + "/link/keys/a"), "");
  const std::string open = real + "/open";
  for (const mode_t mode : {0777U, 0757U, 02777U}) {
    ASSERT_EQ(chmod(open.c_str(), mode), 0);
    const std::string expected = "others may write to " + open + ", a folder above it (mode ";
    EXPECT_TRUE(error(path).starts_with(expected)) << error(path);
    EXPECT_TRUE(error(path).ends_with("): chmod go-w " + open)) << error(path);
    EXPECT_EQ(error(folder + "/link/keys/a"), error(path)) << "a link hides nothing";
  }
  ASSERT_EQ(chmod(open.c_str(), 01777), 0);
  EXPECT_EQ(error(path), "") << "sticky, like /tmp";
  if (geteuid() == 0) {
    ASSERT_EQ(chmod(open.c_str(), 0775), 0);
    ASSERT_EQ(chown(open.c_str(), 0, 12345), 0);
    EXPECT_TRUE(error(path).starts_with("others may write to " + open)) << "a group of others";
    ASSERT_EQ(chown(open.c_str(), 12345, 0), 0);
    EXPECT_EQ(error(path), open + " belongs to uid 12345, neither root nor us: chown " + open);
  }
}

TEST_F(SystemFilesTest, sec_093_ForeignOwnersAreRefused) {
  if (geteuid() != 0) {
    // /proc/self belongs to us; a file of another user that all may read is needed.
    struct stat info{};
    for (const char* path : {"/var/lib/systemd/timesync/clock", "/var/cache/man/CACHEDIR.TAG"}) {
      if (stat(path, &info) == 0 && info.st_uid != 0 && info.st_uid != geteuid()) {
        EXPECT_NE(error(path), "");
      }
    }
    return;
  }
  const std::string path = write("a", 0600);
  ASSERT_EQ(chown(path.c_str(), 12345, 0), 0);
  EXPECT_EQ(error(path), "it belongs to uid 12345, neither root nor us: chown it");
  ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  ASSERT_EQ(chown(folder.c_str(), 12345, 0), 0);
  EXPECT_EQ(error(path), "its folder belongs to uid 12345, neither root nor us: chown it");
}

TEST_F(SystemFilesTest, sec_092_SizesAreBounded) {
  for (const FileKind kind : {FileKind::kText, FileKind::kPublicKey, FileKind::kPrivateKey}) {
    const std::size_t max = file_bytes_max(kind);
    EXPECT_EQ(error(write("fits", 0600, std::string(max, 'x')), kind), "");
    EXPECT_EQ(error(write("over", 0600, std::string(max + 1, 'x')), kind),
              "it is larger than " + std::to_string(max / 1024) + " KiB");
  }
}

TEST(FileBundle, GivesWhatWasPutIn) {
  FileBundle bundle;
  bundle.add("/a", secret_text("one"));
  bundle.add("/b", secret_text(""));
  EXPECT_EQ(as_text(*bundle.read("/a", FileKind::kText)), "one");
  EXPECT_TRUE(bundle.read("/b", FileKind::kPrivateKey)->empty());
  EXPECT_FALSE(bundle.read("/c", FileKind::kText).has_value());
  EXPECT_FALSE(bundle.read("/etc/passwd", FileKind::kText).has_value());
}

TEST(FileBundle, TravelsAsBytes) {
  FileBundle bundle;
  bundle.add("/a", secret_text("one"));
  bundle.add("/b", secret_text(std::string(100'000, 'x')));
  const SecretBytes bytes = bundle.serialise();
  const auto copy = FileBundle::parse(bytes);
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->size(), 2U);
  EXPECT_EQ(as_text(*copy->read("/a", FileKind::kText)), "one");
  EXPECT_EQ(copy->read("/b", FileKind::kText)->size(), 100'000U);
}

TEST(FileBundle, CutOrLengthenedBytesAreRefused) {
  FileBundle bundle;
  bundle.add("/a", secret_text("one"));
  bundle.add("/b", secret_text("two"));
  SecretBytes bytes = bundle.serialise();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(FileBundle::parse(ByteView(bytes).first(n)).has_value()) << n;
  }
  bytes.push_back(0);
  EXPECT_FALSE(FileBundle::parse(bytes).has_value());
}

TEST(CollectingFiles, KeepsWhatWasRead) {
  FileBundle source;
  source.add("/a", secret_text("one"));
  source.add("/b", secret_text("two"));
  FileBundle kept;
  const CollectingFiles files(source, kept);
  EXPECT_TRUE(files.read("/a", FileKind::kText).has_value());
  EXPECT_FALSE(files.read("/missing", FileKind::kText).has_value());
  EXPECT_EQ(kept.size(), 1U);
  EXPECT_TRUE(kept.contains("/a"));
}

TEST(ResolvePath, IsRelativeToTheFileThatNamesIt) {
  EXPECT_EQ(resolve_path("/etc/bastiond/bastiond.yaml", "policy.yaml"),
            "/etc/bastiond/policy.yaml");
  EXPECT_EQ(resolve_path("/etc/bastiond/bastiond.yaml", "/x/policy.yaml"), "/x/policy.yaml");
  EXPECT_EQ(resolve_path("demo/bastiond.yaml", "keys/a"), "demo/keys/a");
  EXPECT_EQ(resolve_path("bastiond.yaml", "policy.yaml"), "policy.yaml");
  EXPECT_EQ(resolve_path("/bastiond.yaml", "policy.yaml"), "/policy.yaml");
}

}  // namespace
}  // namespace bastion::config
