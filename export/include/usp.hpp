/*
** usp.hpp: usp.h for C++17. Handles free themselves, failures are exceptions, arrays are std::vector.
**
**   usp::model model("wti");
**   usp::stream stream(model);
**   for (double value : values) std::vector<double> quantiles = stream.push({value});
**
** Header only; link with the same library as C does. A model may be used by many threads at once, a stream by one at
** a time. A stream keeps its model in memory by itself.
*/
#ifndef USP_HPP
#define USP_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "usp.h"

namespace usp {

/* A call that failed: its status, and usp_last_error() as what(). */
class error : public std::runtime_error {
 public:
  explicit error(usp_status status) : std::runtime_error(usp_last_error()), status_(status) {}
  usp_status status() const noexcept { return status_; }

 private:
  usp_status status_;
};

namespace detail {

inline void check(usp_status status) {
  if (status != USP_OK) throw error(status);
}

/* The array that a function call(T *, capacity, &needed) gives, whatever its length. */
template <class T, class F>
std::vector<T> fetch(F call) {
  std::size_t needed = 0;
  check(call(static_cast<T *>(nullptr), std::size_t{0}, &needed));
  std::vector<T> out(needed);
  check(call(out.data(), out.size(), &needed));
  return out;
}

} // namespace detail

/* A law of the values to come for each of n rows; row-major, as usp_prediction lays it out. */
struct prediction {
  std::vector<double> quantiles, mean, tails, weights, telemetry;
};

/* An exported model. Never changes. */
class model {
 public:
  /* Loads a folder. tensorflow_library: see usp_load_options; empty: the default. */
  explicit model(const std::string &folder, const std::string &tensorflow_library = {})
      : model(folder.c_str(), tensorflow_library) {}

  /* The model that is built into the library. */
  static model built_in() { return model(nullptr, {}); }

  usp_model_description info() const {
    usp_model_description out{};
    out.struct_size = sizeof out;
    detail::check(usp_model_info(handle_.get(), &out));
    return out;
  }

  std::vector<double> levels() const {
    return detail::fetch<double>([&](double *a, std::size_t n, std::size_t *needed) {
      return usp_model_levels(handle_.get(), a, n, needed);
    });
  }

  std::vector<std::uint32_t> horizons() const {
    return detail::fetch<std::uint32_t>([&](std::uint32_t *a, std::size_t n, std::size_t *needed) {
      return usp_model_horizons(handle_.get(), a, n, needed);
    });
  }

  std::vector<std::string> telemetry_names() const {
    std::vector<std::string> out;
    for (std::size_t i = 0, n = info().n_telemetry; i < n; i++) {
      const char *name = usp_model_telemetry_name(handle_.get(), i);
      if (!name) throw error(USP_INVALID_ARGUMENT);
      out.emplace_back(name);
    }
    return out;
  }

  /* Laws of rows, which hold n_features columns each, one row after the other. */
  prediction predict(const std::vector<double> &rows) const {
    const usp_model_description about = info();
    if (rows.size() % about.n_features) throw std::invalid_argument("rows must hold a whole number of rows");
    const std::size_t n = rows.size() / about.n_features, laws = n * about.n_horizons;
    prediction out{std::vector<double>(laws * about.n_levels), std::vector<double>(laws),
                   std::vector<double>(laws * 4), std::vector<double>(laws * about.n_weights),
                   std::vector<double>(n * about.n_telemetry)};
    if (n == 0) return out;
    usp_prediction to{};
    to.struct_size = sizeof to;
    to.quantiles = out.quantiles.data(), to.quantiles_capacity = out.quantiles.size();
    to.mean = out.mean.data(), to.mean_capacity = out.mean.size();
    to.tails = out.tails.data(), to.tails_capacity = out.tails.size();
    to.weights = out.weights.data(), to.weights_capacity = out.weights.size();
    if (!out.telemetry.empty()) to.telemetry = out.telemetry.data(), to.telemetry_capacity = out.telemetry.size();
    detail::check(usp_predict(handle_.get(), rows.data(), n, about.n_features, &to));
    return out;
  }

  const usp_model *get() const noexcept { return handle_.get(); }

 private:
  struct give_back {
    void operator()(usp_model *handle) const noexcept { usp_model_free(handle); }
  };

  model(const char *folder, const std::string &tensorflow_library) {
    if (usp_abi_version() < USP_ABI_VERSION) throw std::runtime_error("libusp is older than usp.h");
    usp_load_options options{};
    options.struct_size = sizeof options;
    if (!tensorflow_library.empty()) options.tensorflow_library = tensorflow_library.c_str();
    usp_model *handle = nullptr;
    detail::check(usp_model_load(folder, &options, &handle));
    handle_.reset(handle);
  }

  std::unique_ptr<usp_model, give_back> handle_;
};

/* A series that the model follows and goes on learning from. */
class stream {
 public:
  explicit stream(const model &of) {
    usp_stream *handle = nullptr;
    detail::check(usp_stream_new(of.get(), &handle));
    handle_.reset(handle);
  }

  /* A stream that goes on where the one that was saved to path stood. */
  stream(const model &of, const std::string &path) {
    usp_stream *handle = nullptr;
    detail::check(usp_stream_load(of.get(), path.c_str(), &handle));
    handle_.reset(handle);
  }

  /* Learns the newest value and its exogenous values, in that order; quantiles of the values to come, H x K. */
  std::vector<double> push(const std::vector<double> &y) {
    std::vector<double> out(width());
    push(y.data(), y.size(), out.data(), out.size());
    return out;
  }

  std::vector<double> push(std::initializer_list<double> y) {
    std::vector<double> out(width());
    push(y.begin(), y.size(), out.data(), out.size());
    return out;
  }

  /* The same into the caller's array, without allocating. */
  void push(const double *y, std::size_t n_y, double *quantiles, std::size_t capacity) {
    detail::check(usp_stream_push(handle_.get(), y, n_y, quantiles, capacity, nullptr));
  }

  /* Values pushed since the model was exported. */
  std::uint64_t count() const {
    std::uint64_t out = 0;
    detail::check(usp_stream_count(handle_.get(), &out));
    return out;
  }

  /* Parts of the newest law. */
  std::vector<double> quantiles() const { return part(usp_stream_quantiles); }
  std::vector<double> mean() const { return part(usp_stream_mean); }
  std::vector<double> tails() const { return part(usp_stream_tails); }
  std::vector<double> weights() const { return part(usp_stream_weights); }
  std::vector<double> telemetry() const { return part(usp_stream_telemetry); }

  /* Quantile of the newest law at any level u in (0, 1). */
  double quantile(double u, std::size_t horizon = 0) const {
    double out = 0;
    detail::check(usp_stream_quantile(handle_.get(), horizon, u, &out));
    return out;
  }

  void save(const std::string &path) const { detail::check(usp_stream_save(handle_.get(), path.c_str())); }

  const usp_stream *get() const noexcept { return handle_.get(); }

 private:
  struct give_back {
    void operator()(usp_stream *handle) const noexcept { usp_stream_free(handle); }
  };

  /* Before the first push a length query fails too (USP_NO_LAW), but says the length. */
  std::size_t width() const noexcept {
    std::size_t needed = 0;
    usp_stream_quantiles(handle_.get(), nullptr, 0, &needed);
    return needed;
  }

  std::vector<double> part(usp_status (*call)(const usp_stream *, double *, std::size_t, std::size_t *)) const {
    return detail::fetch<double>([&](double *a, std::size_t n, std::size_t *needed) {
      return call(handle_.get(), a, n, needed);
    });
  }

  std::unique_ptr<usp_stream, give_back> handle_;
};

} // namespace usp

#endif
