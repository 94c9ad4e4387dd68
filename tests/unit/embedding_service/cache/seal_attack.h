// What somebody who reads the shared cache would try: learn from many pairs of stored bytes and
// faces to tell something of further faces from their bytes. Works on any bytes, so that the tests
// can show that it succeeds where nothing is sealed.
#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace emotion::embedding {

using Numbers = std::vector<double>;

inline double Correlation(const Numbers& a, const Numbers& b) {
  double mean_a = 0, mean_b = 0;
  const auto count = static_cast<double>(a.size());
  for (size_t i = 0; i < a.size(); ++i) mean_a += a[i] / count, mean_b += b[i] / count;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa == 0 || bb == 0 ? 0 : ab / std::sqrt(aa * bb);
}

inline double Product(std::string_view a, std::string_view b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<int8_t>(a[i]) * static_cast<int8_t>(b[i]);
  }
  return sum / static_cast<double>(a.size());
}

// Solves matrix x = right, by Gauss and Jordan; the matrix is positive definite.
inline Numbers Solve(std::vector<Numbers> matrix, Numbers right) {
  for (size_t pivot = 0; pivot < right.size(); ++pivot) {
    for (size_t row = 0; row < right.size(); ++row) {
      if (row == pivot) continue;
      const double factor = matrix[row][pivot] / matrix[pivot][pivot];
      for (size_t i = pivot; i < right.size(); ++i) matrix[row][i] -= factor * matrix[pivot][i];
      right[row] -= factor * right[pivot];
    }
  }
  for (size_t i = 0; i < right.size(); ++i) right[i] /= matrix[i][i];
  return right;
}

// Ridge regression of `targets` on the bytes as signed numbers, learnt from the first two thirds;
// how well the last third comes out, as a correlation.
inline double LearnAndTell(const std::vector<std::string>& stored, const Numbers& targets) {
  const size_t learnt = stored.size() * 2 / 3;
  double mean = 0;
  for (size_t i = 0; i < learnt; ++i) mean += targets[i] / static_cast<double>(learnt);
  std::vector<Numbers> products(learnt, Numbers(learnt));
  Numbers right;
  double diagonal = 0;
  for (size_t i = 0; i < learnt; ++i) {
    right.push_back(targets[i] - mean);
    for (size_t j = 0; j < learnt; ++j) products[i][j] = Product(stored[i], stored[j]);
    diagonal += products[i][i] / static_cast<double>(learnt);
  }
  for (size_t i = 0; i < learnt; ++i) products[i][i] += 0.01 * diagonal;
  const Numbers weights = Solve(products, right);
  Numbers told, truth;
  for (size_t i = learnt; i < stored.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < learnt; ++j) sum += weights[j] * Product(stored[i], stored[j]);
    told.push_back(sum);
    truth.push_back(targets[i]);
  }
  return Correlation(told, truth);
}

// How many of `unknown` are found by taking, for each, the one of `known` whose bytes are nearest
// to its own; both list the same faces in the same order.
inline size_t Recognised(const std::vector<std::string>& known,
                         const std::vector<std::string>& unknown) {
  size_t right = 0;
  for (size_t i = 0; i < unknown.size(); ++i) {
    size_t best = 0;
    double best_distance = 1e300;
    for (size_t j = 0; j < known.size(); ++j) {
      const double distance = Product(known[j], known[j]) - 2 * Product(known[j], unknown[i]);
      if (distance < best_distance) best_distance = distance, best = j;
    }
    right += best == i;
  }
  return right;
}

}  // namespace emotion::embedding
