#include "net/multipart.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

namespace msearch::net {
namespace {

constexpr char kType[] = "multipart/form-data; boundary=XyZ";

std::string Part(const std::string& disposition, const std::string& content) {
  return "--XyZ\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n";
}

Result<std::vector<FormField>> Read(const std::string& body, size_t piece = std::string::npos) {
  MultipartReader reader = TRY(MultipartReader::Start(kType, {}));
  for (size_t at = 0; at < body.size(); at += std::min(piece, body.size())) {
    TRY(reader.Feed(std::string_view(body).substr(at, piece)));
  }
  return reader.Finish();
}

TEST(Multipart, FieldsAndFilesAreRead) {
  auto fields = Read(Part("name=\"q\"", "red car") +
                     "--XyZ\r\ncontent-type: image/png\r\n"
                     "CONTENT-DISPOSITION: form-data; name=image; filename=\"a \\\"b\\\".png\"\r\n"
                     "\r\n\x89PNG\r\n--Xy\r\n--XyZ--\r\nepilogue");
  ASSERT_TRUE(fields.ok()) << fields.message();
  ASSERT_EQ(fields->size(), 2u);
  EXPECT_EQ((*fields)[0].name, "q");
  EXPECT_EQ((*fields)[0].value, "red car");
  EXPECT_EQ((*fields)[1].name, "image");
  EXPECT_EQ((*fields)[1].file_name, "a \"b\".png");
  EXPECT_EQ((*fields)[1].content_type, "image/png");
  EXPECT_EQ((*fields)[1].value, "\x89PNG\r\n--Xy");
}

TEST(Multipart, EmptyFieldsOfOneNameStayApart) {
  auto fields =
      Read(Part("name=\"a\"", "") + Part("name=\"a\"", "") + Part("name=\"a\"", "x") + "--XyZ--");
  ASSERT_TRUE(fields.ok()) << fields.message();
  ASSERT_EQ(fields->size(), 3u);
  EXPECT_EQ((*fields)[1].value, "");
  EXPECT_EQ((*fields)[2].value, "x");
}

TEST(Multipart, ResultDoesNotDependOnThePieces) {
  std::mt19937 random(7);
  std::string content(3000, '\0');
  for (char& c : content) c = "\r\n-XyZ\0"[random() % 7];
  std::string body =
      "preamble\r\n" + Part("name=\"a\"", content) + Part("name=\"b\"", "\r\n") + "--XyZ--\r\n";
  for (size_t piece : {1, 2, 3, 7, 64, 1000}) {
    auto fields = Read(body, piece);
    ASSERT_TRUE(fields.ok()) << fields.message();
    ASSERT_EQ(fields->size(), 2u);
    EXPECT_EQ((*fields)[0].value, content);
    EXPECT_EQ((*fields)[1].value, "\r\n");
  }
}

TEST(Multipart, BrokenBodiesAreInvalid) {
  for (const std::string& body :
       {std::string(""), std::string("--XyZ"), Part("name=\"a\"", "x"),
        std::string("--XyZ\r\n\r\nno header\r\n--XyZ--"), std::string("--XyZgarbage\r\n"),
        std::string(100000, 'x'),
        "--XyZ\r\nContent-Disposition: form-data; name=\"" + std::string(100000, 'n')}) {
    auto fields = Read(body);
    ASSERT_FALSE(fields.ok()) << body.substr(0, 100);
    EXPECT_EQ(fields.code(), Code::kInvalid);
  }
}

TEST(Multipart, CountOfPartsIsBounded) {
  std::string body;
  for (int i = 0; i < 1001; ++i) body += Part("name=\"a\"", "x");
  EXPECT_FALSE(Read(body + "--XyZ--").ok());
}

TEST(Multipart, BoundaryIsRequired) {
  for (const std::string& type :
       {std::string("multipart/form-data"), std::string("multipart/form-data; boundary="),
        "multipart/form-data; boundary=" + std::string(300, 'b')}) {
    EXPECT_FALSE(MultipartReader::Start(type, {}).ok()) << type;
  }
}

TEST(Multipart, LargeFileIsSpooledAndRemovedWithItsOwner) {
  TemporaryDirectory directory;
  auto reader = MultipartReader::Start(kType, {1000, directory.path()});
  ASSERT_TRUE(reader.ok());
  std::string content(5000, 'c');
  ASSERT_TRUE(reader->Feed(Part("name=\"small\"", "s")).ok());
  ASSERT_TRUE(reader->Feed(Part("name=\"large\"; filename=\"l\"", content) + "--XyZ--").ok());
  auto fields = reader->Finish();
  ASSERT_TRUE(fields.ok());
  EXPECT_EQ((*fields)[0].spooled_path, "");
  EXPECT_EQ((*fields)[1].value, "");
  {
    std::vector<SpooledFile> files = reader->TakeFiles();
    EXPECT_EQ(ReadFile((*fields)[1].spooled_path).value_or(""), content);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Multipart, FullDiskIsNotTheClientsFault) {
  auto reader = MultipartReader::Start(kType, {10, "/nonexistent"});
  ASSERT_TRUE(reader.ok());
  auto fed = reader->Feed(Part("name=\"a\"", std::string(5000, 'c')));
  ASSERT_FALSE(fed.ok());
  EXPECT_NE(fed.code(), Code::kInvalid);
}

TEST(Multipart, ParameterIsFoundAmongOthers) {
  EXPECT_EQ(HeaderParameter("form-data; filename=\"name=x; y\"; name=\"b\"", "name"), "b");
  EXPECT_EQ(HeaderParameter("form-data; NAME = c ; x=1", "name"), "c");
  EXPECT_EQ(HeaderParameter("form-data; name", "name"), "");
  EXPECT_EQ(HeaderParameter("form-data; name=\"open", "name"), "open");
  EXPECT_EQ(HeaderParameter("", "name"), "");
}

}  // namespace
}  // namespace msearch::net
