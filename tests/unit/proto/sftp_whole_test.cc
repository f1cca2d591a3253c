// When a file's content is known to be all of it, and what is said where it is not.
#include "proto/sftp_stream.h"

#include <gtest/gtest.h>

#include "tests/unit/proto/sftp_support.h"

namespace bastion::proto {
namespace {

using namespace sftp_test;  // NOLINT: the messages of these tests

TEST(SftpWhole, ContentOutOfOrderIsNoWholeFile) {
  FileRules rules;
  rules.digest = true;
  Watched watched(rules);
  watched.begin();
  watched.open_file(1, "/a", kFileRead, "H");
  ASSERT_TRUE(watched.client(sftp_test::read(2, "H", 0, 4)));
  ASSERT_TRUE(watched.client(sftp_test::read(3, "H", 4, 4)));
  ASSERT_TRUE(watched.server(data(3, "efgh")));
  ASSERT_TRUE(watched.server(data(2, "abcd")));
  ASSERT_TRUE(watched.client(sftp_test::close(4, "H")));
  ASSERT_TRUE(watched.server(status(4, 0)));
  EXPECT_EQ(watched.log.lines.back(), "close done #1 /a read 8 written 0");
  EXPECT_EQ(watched.log.downloaded, "");
  EXPECT_EQ(watched.log.why_not_whole, "read out of order");
}

TEST(SftpWhole, SaysWhyAFileIsNotWhole) {
  struct Case {
    std::uint32_t flags;
    Bytes requests;
    Bytes answers;
    std::string_view why;
  };
  const auto both = [](Bytes first, const Bytes& second) { return std::move(first += second); };
  constexpr std::uint32_t kNew = kFileWrite | kFileCreate | kFileTruncate;
  const Case cases[] = {
      {kNew, write(2, "H", 0, "abc"), status(2, 0), ""},
      {kFileWrite, write(2, "H", 0, "abc"), status(2, 0), "what the file held before was kept"},
      {kNew | kFileAppend, write(2, "H", 0, "abc"), status(2, 0),
       "what the file held before was kept"},
      {kNew, write(2, "H", 0, "abc"), status(2, 4),
       "a write failed, or the file was changed by other means"},
      {kNew, both(write(2, "H", 0, "abc"), write(3, "H", 1, "x")), both(status(2, 0), status(3, 0)),
       "written out of order"},
      {kFileWrite | kFileCreate, both(write(2, "H", 0, "abc"), set_size(3, "H", 3)),
       both(status(2, 0), status(3, 0)), ""},
      {kFileWrite | kFileCreate, both(write(2, "H", 0, "abc"), set_size(3, "H", 3)),
       both(status(2, 0), status(3, 4)), "what the file held before was kept"},
      {kNew, both(write(2, "H", 0, "abc"), set_size(3, "H", 2)), both(status(2, 0), status(3, 0)),
       "a write failed, or the file was changed by other means"},
      {kFileRead, sftp_test::read(2, "H", 0, 4), data(2, "abcd"), "not read to its end"},
      {kFileRead, both(sftp_test::read(2, "H", 0, 4), sftp_test::read(3, "H", 4, 4)),
       both(data(2, "abcd"), status(3, 1)), ""},
  };
  for (const Case& one : cases) {
    Watched watched;
    watched.begin();
    watched.open_file(1, "/a", one.flags, "H");
    ASSERT_TRUE(watched.client(one.requests));
    ASSERT_TRUE(watched.server(one.answers));
    ASSERT_TRUE(watched.client(sftp_test::close(9, "H")));
    ASSERT_TRUE(watched.server(status(9, 0)));
    EXPECT_EQ(watched.log.why_not_whole, one.why) << watched.log.lines.back();
  }
  Watched left;
  left.begin();
  left.open_file(1, "/a", kNew, "H");
  left.stream.finish(1);
  EXPECT_EQ(left.log.why_not_whole, "it was not closed");
}

TEST(SftpWhole, ASizeThatWasToldEndsAFileAsWellAsAnEof) {
  Watched watched;
  watched.begin();
  ASSERT_TRUE(watched.client(path_request(17, 1, "/a")));
  ASSERT_TRUE(watched.server(attrs(1, 4)));
  watched.open_file(2, "/a", kFileRead, "H");
  ASSERT_TRUE(watched.client(sftp_test::read(3, "H", 0, 4)));
  ASSERT_TRUE(watched.server(data(3, "abcd")));
  ASSERT_TRUE(watched.client(sftp_test::close(4, "H")));
  ASSERT_TRUE(watched.server(status(4, 0)));
  EXPECT_EQ(watched.log.lines.back(), "close done #1 /a read 4! written 0");
}

TEST(SftpWhole, WhatALinkIsLongDoesNotEndAFile) {
  for (const bool regular : {true, false}) {
    Watched watched;
    watched.begin();
    ASSERT_TRUE(watched.client(path_request(7, 1, "/a")));
    ASSERT_TRUE(watched.server(lstat_attrs(1, 4, regular ? 0100644 : 0120777)));
    watched.open_file(2, "/a", kFileRead, "H");
    ASSERT_TRUE(watched.client(sftp_test::read(3, "H", 0, 4)));
    ASSERT_TRUE(watched.server(data(3, "abcd")));
    ASSERT_TRUE(watched.client(sftp_test::close(4, "H")));
    ASSERT_TRUE(watched.server(status(4, 0)));
    EXPECT_EQ(watched.log.lines.back(),
              std::string("close done #1 /a read 4") + (regular ? "!" : "") + " written 0");
  }
}

}  // namespace
}  // namespace bastion::proto
