// Streams a CSV file through an exported model that learns as it goes; prints the quantiles after every value.
//   forecast MODEL_FOLDER VALUES.csv [STREAM]
// MODEL_FOLDER "-" is the model inside the library this was linked to. STREAM is a file where the stream is kept: it goes
// on from there if the file exists, and is saved there in the end.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "usp.hpp"

namespace {

// Numbers of a line of CSV; nothing if it holds anything else.
std::optional<std::vector<double>> numbers(const std::string &line) {
  std::vector<double> out;
  for (const char *text = line.c_str();; text++) {
    char *end;
    out.push_back(std::strtod(text, &end));
    if (end == text) return std::nullopt;
    text = end + std::strspn(end, " \t\r");
    if (*text == '\0') return out;
    if (*text != ',') return std::nullopt;
  }
}

void run(const std::string &folder, const std::string &path, const std::string &kept) {
  const usp::model model = folder == "-" ? usp::model::built_in() : usp::model(folder);
  usp::stream stream = std::filesystem::exists(kept) ? usp::stream(model, kept) : usp::stream(model);
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read");

  std::vector<double> times;
  std::string line;
  for (int row = 1; std::getline(file, line); row++) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto y = numbers(line);
    if (!y && row == 1) continue; // the header
    if (!y) throw std::runtime_error(path + ", line " + std::to_string(row) + ": not numbers");
    const auto start = std::chrono::steady_clock::now();
    const std::vector<double> quantiles = stream.push(*y);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    for (std::size_t i = 0; i < quantiles.size(); i++) std::printf(i ? ",%.17g" : "%.17g", quantiles[i]);
    std::putchar('\n');
  }
  if (file.bad()) throw std::runtime_error(path + " cannot be read");
  if (std::fflush(stdout) || std::ferror(stdout)) throw std::runtime_error("the output cannot be written");
  if (!kept.empty()) stream.save(kept);
  if (times.empty()) return;
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  std::fprintf(stderr, "median push latency: %.1f us\n", times[times.size() / 2]);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s MODEL_FOLDER VALUES.csv [STREAM]\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], argv[2], argc == 4 ? argv[3] : "");
  } catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
