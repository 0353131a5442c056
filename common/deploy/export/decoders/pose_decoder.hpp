// Pose decoder: the maps of a network that `bpnet export` wrote, to people. C++17, one file, no dependencies.
//
//   const auto settings = bodyposenet::read_settings(text);  // of skeleton.json, which `bpnet bundle` writes
//   bodyposenet::Decoder decoder(settings);                  // keeps its memory; one for each thread
//   const auto people = decoder.decode(bodyposenet::nhwc(heatmaps, rows, columns, decoder.heatmap_channels()),
//                                      bodyposenet::nhwc(pafs, rows, columns, decoder.paf_channels()));
//   people[0].joints[3].x;  // pixels of the network's input; the best person first, joints in the order of settings
//
// heatmaps  float, a channel for each joint, and one more that is ignored (the background) or none
// pafs      float, two channels for each limb, x and y
// nhwc, nchw  how they lie in memory, of one picture: with the channels last, or first. Other layouts fill a Maps.
// settings  all that depends on the network: joints, limbs, stride, sigma, thresholds, the build of bodies. They are
//           plain data and may be filled without JSON.
//
// It finds what bodyposenet.common.pose.decode finds, to rounding: joints are local maxima, placed between cells by the
// logarithms of their neighbours; limbs are pairs along which nine of ten samples of the field agree; people are joined
// from limbs, the best first. The Python modules say why (peaks, refine, limbs, group).
// Compile with -O3 and for the processor at hand (-march=native); never with -ffast-math: maps may hold NaN, which is
// no peak. -fno-math-errno helps. Mistakes of the caller are std::invalid_argument.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef BODYPOSENET_POSE_DECODER_HPP
#define BODYPOSENET_POSE_DECODER_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <locale>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bodyposenet {

// What a network's maps mean, and how sure a decoder must be.
struct Settings {
    std::vector<std::string> joints;          // names, in the order of the heatmaps' channels
    std::vector<std::pair<int, int>> limbs;   // joints at both ends, in the order of the fields' channels
    double stride = 8, sigma = 7;             // input pixels a cell; spread of a peak, in input pixels
    double paf_shift = 0;                     // input pixels, right and down, from cells of the fields to the heatmaps'
    float heatmap_threshold = 0.1f, paf_threshold = 0.05f;
    int min_parts = 3;                        // joints that a person must have
    float min_score = 0;                      // of a person
    int max_people = -1;                      // the best so many; -1 is all
    std::vector<double> means, spreads;       // K * K: how far joints are apart (skeleton.json: prior); or empty
};

// Maps of one picture, anywhere in memory: value (row, column, channel) is data[row * row_step + ...].
struct Maps {
    const float* data = nullptr;
    int rows = 0, columns = 0, channels = 0;
    std::ptrdiff_t row_step = 0, column_step = 0, channel_step = 0;  // in floats
};

inline Maps nhwc(const float* data, int rows, int columns, int channels) {
    return {data, rows, columns, channels, std::ptrdiff_t(columns) * channels, channels, 1};
}

inline Maps nchw(const float* data, int rows, int columns, int channels) {
    return {data, rows, columns, channels, columns, 1, std::ptrdiff_t(rows) * columns};
}

struct Joint {
    float x = 0, y = 0, score = 0;  // pixels of the network's input; score 0 where it was not found
};

struct Person {
    float score = 0;
    std::vector<Joint> joints;
};

Settings read_settings(const std::string& json);

class Decoder {
public:
    explicit Decoder(Settings settings) : settings_(std::move(settings)) {
        const std::size_t K = settings_.joints.size();
        if (K == 0) throw std::invalid_argument("settings without joints");
        for (const auto& [start, end] : settings_.limbs)
            if (start < 0 || end < 0 || std::size_t(start) >= K || std::size_t(end) >= K)
                throw std::invalid_argument("a limb ends at no joint");
        if (!(settings_.stride > 0 && settings_.sigma > 0))
            throw std::invalid_argument("stride or sigma is not above 0");
        if (settings_.means.size() != settings_.spreads.size() ||
            (!settings_.means.empty() && settings_.means.size() != K * K))
            throw std::invalid_argument("the prior is of another number of joints");
        weights_.reserve(settings_.spreads.size());
        for (const double spread : settings_.spreads) weights_.push_back(1 / (spread * spread));
    }

    int heatmap_channels() const { return int(settings_.joints.size()) + 1; }
    int paf_channels() const { return 2 * int(settings_.limbs.size()); }
    const Settings& settings() const { return settings_; }
    int left_out() const { return left_out_; }  // peaks of the last picture that were too many, the weakest

    std::vector<Person> decode(const Maps& heatmaps, const Maps& pafs) {
        check(heatmaps, pafs);
        find_peaks(heatmaps);
        find_limbs(pafs);
        group_limbs();
        if (!weights_.empty()) adopt();
        share();
        if (!weights_.empty()) lend();
        count_once();
        return people();
    }

private:
    using Index = std::int32_t;
    struct Point { float x, y; };
    struct Cell { Index row, column; };
    struct Pair { Index start, end; float score; };

    // --- peaks: where each joint may be, to a fraction of a cell
    static constexpr int FRAME = 2;           // cells of minus infinity around a heatmap
    static constexpr int CELLS_A_PEAK = 27;   // a joint's strongest peaks are kept, one in so many cells
    static constexpr int LEAST_CAP = 64;      // but so many on any grid
    static constexpr double FLOOR = 1e-4;     // heatmap values are raised to it before their logarithm is taken
    static constexpr double NARROW = 0.7, WIDE = 1.5;   // a peak's variance, over the one it was drawn with
    static constexpr float LEAST = 0.2f;      // of the peak: lower cells are slopes of anything
    static constexpr double RATIO = 1.6, MARGIN = 0.2;  // a cell this high above a lone peak's slope hides another peak
    static constexpr double HALFWAY = 1.75;   // cells; a peak nearer than that, halfway between two, is high in both
    static constexpr double SLACK = 1.2, WIDEST = 3.0;  // a lone peak may be wider than measured
    // --- limbs: which peaks the fields join
    static constexpr int SAMPLES = 10, NEEDED = 9;
    // --- groups: limbs joined into people
    static constexpr double LIKELY = 2.0;     // greatest mean deviation, in spreads
    static constexpr double FORESHORTENED = 0.5;  // deviations of distances that are too short count so much
    static constexpr int MOST_GROUPS = 192;   // the largest may be taken up; more are noise
    static constexpr double LEAST_DISTANCE = 0.1;  // cells; closer joints are taken to be so far apart
    static constexpr float STRONG = 0.3f;     // least mean field of a limb to a shared peak
    static constexpr int WHOLE = 3, PASSES = 2;  // joints of a person who may share; a shared one may lead to the next
    static constexpr int SAME = 2;            // joints that two groups share who may be one person
    static constexpr double MOST = 1e6;       // greatest sum of peak values and limb scores

    Settings settings_;
    std::vector<double> weights_;             // 1 / spread^2
    int left_out_ = 0;
    std::vector<float> plane_, values_, heights_, field_, ends_, states_, table_, tables_;
    std::vector<std::uint8_t> marks_;
    std::vector<Point> points_, places_;
    std::vector<Cell> cells_, likely_;
    std::vector<int> bounds_, order_, members_, owner_, counts_;
    std::vector<std::size_t> offsets_;        // where each limb's table begins in tables_
    std::vector<Pair> pairs_, own_pairs_;
    std::vector<double> totals_, sums_, ties_;
    std::vector<char> taken_;

    int joints() const { return int(settings_.joints.size()); }

    void check(const Maps& heatmaps, const Maps& pafs) const {
        const bool fits = heatmaps.rows > 0 && heatmaps.columns > 0 && heatmaps.rows == pafs.rows &&
                          heatmaps.columns == pafs.columns && pafs.channels == paf_channels() &&
                          (heatmaps.channels == joints() || heatmaps.channels == heatmap_channels());
        if (!fits) throw std::invalid_argument("the maps are not those of the settings' joints and limbs");
    }

    // The stable order of many numbers, the greatest first.
    template <class Number>
    void sort_down(const Number* numbers, int count) {
        order_.resize(count);
        std::iota(order_.begin(), order_.end(), 0);
        std::sort(order_.begin(), order_.end(), [numbers](int a, int b) {
            return numbers[a] > numbers[b] || (numbers[a] == numbers[b] && a < b);
        });
    }

    void find_peaks(const Maps& maps) {
        const int most = std::max(LEAST_CAP, maps.rows * maps.columns / CELLS_A_PEAK);
        const double spread = settings_.sigma / settings_.stride, variance = spread * spread;
        points_.clear(), values_.clear();
        bounds_.assign(1, 0);
        left_out_ = 0;
        const int width = maps.columns + 2 * FRAME;
        const std::size_t size = std::size_t(maps.rows + 2 * FRAME) * width;
        plane_.assign(size, -std::numeric_limits<float>::infinity());
        marks_.assign((size + 7) / 8 * 8, 0);
        for (int joint = 0; joint < joints(); ++joint) {
            copy_plane(maps, joint, width);
            mark_maxima(maps.rows, width);
            list_cells(width);
            int found = int(cells_.size());
            places_.resize(2 * found), heights_.resize(2 * found);
            for (int peak = 0; peak < found; ++peak) {
                places_[peak] = refine(maps, width, cells_[peak], variance, 0, 0);
                heights_[peak] = at(width, cells_[peak]);
            }
            if (found < most) found = add_hidden(maps, width, variance);
            sort_down(heights_.data(), found);
            const int kept = std::min(found, most);
            for (int place = 0; place < kept; ++place) {
                const Point& point = places_[order_[place]];
                points_.push_back({float(double(point.x) - FRAME), float(double(point.y) - FRAME)});
                values_.push_back(heights_[order_[place]]);
            }
            bounds_.push_back(int(points_.size()));
            left_out_ += found - kept;
        }
    }

    float at(int width, Cell cell) const { return plane_[std::size_t(cell.row) * width + cell.column]; }

    void copy_plane(const Maps& maps, int joint, int width) {
        const float* from = maps.data + joint * maps.channel_step;
        for (int row = 0; row < maps.rows; ++row, from += maps.row_step) {
            float* to = plane_.data() + std::size_t(row + FRAME) * width + FRAME;
            if (maps.column_step == 1) std::copy(from, from + maps.columns, to);
            else for (int column = 0; column < maps.columns; ++column) to[column] = from[column * maps.column_step];
        }
    }

    // Marks values above the threshold with no higher neighbour, and of equal ones the first; all cells are compared
    // with all neighbours, without branches, so that many are compared at once.
    void mark_maxima(int rows, int width) {
        const float threshold = settings_.heatmap_threshold, infinite = std::numeric_limits<float>::infinity();
        for (int row = FRAME; row < rows + FRAME; ++row) {
            const float* here = plane_.data() + std::size_t(row) * width;
            const float *above = here - width, *below = here + width;
            std::uint8_t* marks = marks_.data() + std::size_t(row) * width;
            for (int c = FRAME; c < width - FRAME; ++c) {
                const float value = here[c];
                int higher = int(above[c - 1] >= value) | int(above[c] >= value) | int(above[c + 1] >= value);
                higher |= int(here[c - 1] >= value) | int(here[c + 1] > value);
                higher |= int(below[c - 1] > value) | int(below[c] > value) | int(below[c + 1] > value);
                marks[c] = std::uint8_t(int(value > threshold) & int(value < infinite) & (1 - higher));
            }
        }
    }

    // Most marks are 0, and ruled out a word at a time.
    void list_cells(int width) {
        cells_.clear();
        for (std::size_t word = 0; word < marks_.size(); word += 8) {
            std::uint64_t bits;
            std::copy_n(marks_.data() + word, 8, reinterpret_cast<std::uint8_t*>(&bits));
            if (!bits) continue;
            for (std::size_t place = word; place < word + 8; ++place)
                if (marks_[place]) cells_.push_back({Index(place / width), Index(place % width)});
        }
    }

    struct Logarithms { double centre, left, right, above, below; };

    Logarithms logarithms(int width, Cell cell) const {
        const float* here = plane_.data() + std::size_t(cell.row) * width + cell.column;
        return {log(here[0]), log(here[-1]), log(here[1]), log(here[-width]), log(here[width])};
    }

    static double log(float value) {
        static const double floor = std::log(FLOOR);
        return FLOOR < value && value < std::numeric_limits<float>::infinity() ? double(std::log(value)) : floor;
    }

    // The variance of a Gaussian by the logarithms of three values.
    static double measure(double before, double centre, double after, double widest) {
        const double curvature = 2 * centre - before - after;
        return curvature > 0 ? std::min(1 / curvature, widest) : widest;
    }

    // A peak's x and y; neighbours on blind sides (-1 left or above, 1 right or below) do not count.
    Point refine(const Maps& maps, int width, Cell cell, double variance, int blind_x, int blind_y) const {
        const Logarithms logs = logarithms(width, cell);
        const bool has_left = cell.column > FRAME && blind_x >= 0;
        const bool has_right = cell.column < maps.columns + FRAME - 1 && blind_x <= 0;
        const bool has_above = cell.row > FRAME && blind_y >= 0;
        const bool has_below = cell.row < maps.rows + FRAME - 1 && blind_y <= 0;
        const double wide = WIDE * variance, narrow = NARROW * variance;
        const double across =
            has_left && has_right ? std::max(measure(logs.left, logs.centre, logs.right, wide), narrow) : -1;
        const double down =
            has_above && has_below ? std::max(measure(logs.above, logs.centre, logs.below, wide), narrow) : -1;
        const double spare = std::max(across, down) > 0 ? std::max(across, down) : variance;
        const double x = offset(logs.left, logs.centre, logs.right, has_left, has_right, across > 0 ? across : spare);
        const double y = offset(logs.above, logs.centre, logs.below, has_above, has_below, down > 0 ? down : spare);
        return {float(cell.column + x), float(cell.row + y)};
    }

    static double offset(double before, double centre, double after, bool has_before, bool has_after, double variance) {
        if (has_before && has_after) return std::clamp(0.5 * variance * (after - before), -0.5, 0.5);
        if (has_before) return std::clamp(variance * (centre - before) - 0.5, -1.0, 1.0);
        if (has_after) return std::clamp(0.5 - variance * (centre - after), -1.0, 1.0);
        return 0;
    }

    // Appends the peaks on the slopes of others, and places those beside them anew; returns how many there are.
    int add_hidden(const Maps& maps, int width, double variance) {
        int found = int(cells_.size());
        for (int peak = 0; peak < int(cells_.size()); ++peak) {
            const Cell own = cells_[peak], other = find_slope(width, own, places_[peak], variance);
            if (other.row < 0 || is_near(other, peak)) continue;
            const int down = side(other.row - own.row), right = side(other.column - own.column);
            places_[found] = refine(maps, width, other, variance, -right, -down);
            heights_[found++] = at(width, other);
            places_[peak] = refine(maps, width, own, variance, right, down);
        }
        return found;
    }

    // On which side a cell two away lies: its neighbour there is between the two peaks.
    static int side(int step) { return step == 2 ? 1 : step == -2 ? -1 : 0; }

    // The highest of the cells two away from a peak's that are too high for it, or -1, -1.
    Cell find_slope(int width, Cell peak, Point place, double variance) const {
        const float value = at(width, peak);
        float best = std::max(settings_.heatmap_threshold, LEAST * value);
        Cell where{-1, -1};
        double wide = 0, own = 0;
        for (Index i = peak.row - 2; i <= peak.row + 2; ++i) {
            const Index step = std::abs(i - peak.row) == 2 ? 1 : 4;
            for (Index j = peak.column - 2; j <= peak.column + 2; j += step) {
                const float other = at(width, {i, j});
                if (!(best < other && other <= value)) continue;
                if (wide == 0) {
                    wide = lone_width(width, peak, variance);
                    own = square(peak.column - double(place.x)) + square(peak.row - double(place.y));
                }
                const double away = square(j - double(place.x)) + square(i - double(place.y));
                const double alone = value * std::exp((own - away) / (2 * wide));
                if (other > MARGIN * value + RATIO * alone) best = other, where = {i, j};
            }
        }
        return where;
    }

    static double square(double value) { return value * value; }

    // The variance that a lone peak may have: the lesser of both axes', as the other may be two peaks'.
    double lone_width(int width, Cell cell, double variance) const {
        const Logarithms logs = logarithms(width, cell);
        const double across = measure(logs.left, logs.centre, logs.right, WIDEST * variance);
        const double down = measure(logs.above, logs.centre, logs.below, WIDEST * variance);
        return SLACK * std::max(std::min(across, down), variance);
    }

    // Whether another local maximum is at or beside a cell, or halfway between its own cell and one beside it.
    bool is_near(Cell cell, int own) const {
        for (int peak = 0; peak < int(cells_.size()); ++peak) {
            if (peak == own) continue;
            const Cell other = cells_[peak];
            if (std::abs(other.row - cell.row) <= 1 && std::abs(other.column - cell.column) <= 1) return true;
            const double down = double(places_[peak].y) - cell.row, right = double(places_[peak].x) - cell.column;
            if (std::abs(down) <= HALFWAY && std::abs(right) <= HALFWAY) return true;
        }
        return false;
    }

    // Matches the peaks at the two ends of every limb, best pair first, each peak once a limb.
    void find_limbs(const Maps& pafs) {
        pairs_.clear(), offsets_.clear(), tables_.clear();
        for (std::size_t limb = 0; limb < settings_.limbs.size(); ++limb) {
            const auto [start, end] = settings_.limbs[limb];
            const int starts = bounds_[start + 1] - bounds_[start], ends = bounds_[end + 1] - bounds_[end];
            const std::size_t before = tables_.size(), size = std::size_t(starts) * ends;
            offsets_.push_back(before);
            tables_.resize(before + size);
            if (!size) continue;
            copy_field(pafs, int(limb));
            ends_.resize(4 * std::size_t(starts + ends));
            float *first = ends_.data(), *second = first + 4 * std::size_t(starts);
            read_ends(pafs, bounds_[start], starts, first);
            read_ends(pafs, bounds_[end], ends, second);
            const std::size_t likely = agree(pafs.columns + 1, first, starts, second, ends, tables_.data() + before);
            pick(likely, bounds_[start], bounds_[end], ends, tables_.data() + before);
        }
    }

    // One limb's field with x and y side by side, and a row and a column of 0 more, so that all cells have neighbours.
    void copy_field(const Maps& pafs, int limb) {
        const int width = pafs.columns + 1;
        field_.resize(2 * std::size_t(pafs.rows + 1) * width);
        const float *u = pafs.data + 2 * limb * pafs.channel_step, *v = u + pafs.channel_step;
        float* to = field_.data();
        for (int row = 0; row < pafs.rows; ++row, u += pafs.row_step, v += pafs.row_step, to += 2 * width) {
            const std::ptrdiff_t step = pafs.column_step;
            for (int column = 0; column < pafs.columns; ++column) {
                to[2 * column] = u[column * step];
                to[2 * column + 1] = v[column * step];
            }
            to[2 * width - 2] = to[2 * width - 1] = 0;
        }
        std::fill_n(to, 2 * width, 0.0f);
    }

    // Fills x, y and the field there of peaks, moved inside the grid: four rows of count.
    void read_ends(const Maps& pafs, int from, int count, float* ends) const {
        const float most_x = float(pafs.columns - 1), most_y = float(pafs.rows - 1);
        const float shift = float(settings_.paf_shift / settings_.stride);
        for (int point = 0; point < count; ++point) {
            const float x = std::min(std::max(points_[from + point].x + shift, 0.0f), most_x);
            const float y = std::min(std::max(points_[from + point].y + shift, 0.0f), most_y);
            const Point vector = read_field(field_.data(), pafs.columns + 1, x, y);
            ends[point] = x, ends[count + point] = y;
            ends[2 * count + point] = vector.x, ends[3 * count + point] = vector.y;
        }
    }

    // The field at x, y inside the grid, bilinear between cell centres.
    static Point read_field(const float* field, int width, float x, float y) {
        const int column = int(x), row = int(y);
        const float fx = x - float(column), fy = y - float(row);
        const float *a = field + 2 * std::size_t(row * width + column), *c = a + 2 * std::size_t(width);
        const float left_u = a[0] + fy * (c[0] - a[0]), left_v = a[1] + fy * (c[1] - a[1]);
        const float right_u = a[2] + fy * (c[2] - a[2]), right_v = a[3] + fy * (c[3] - a[3]);
        return {left_u + fx * (right_u - left_u), left_v + fx * (right_v - left_v)};
    }

    // Fills the table of all pairs with the mean of the samples above the threshold, where enough are; returns how many
    // are, listed in likely_. Samples are taken of all pairs in turn, the two ends first, and those that have missed
    // too often are left out, without branches, of which a processor would guess half wrong.
    std::size_t agree(int width, const float* starts, int rows, const float* ends, int columns, float* table) {
        static constexpr int inner[] = {4, 5, 2, 7, 6, 3, 8, 1};  // the first tell most wrong pairs
        states_.resize(3 * std::size_t(rows) * columns);
        likely_.resize(std::size_t(rows) * columns + 1);
        std::size_t count = 0;
        for (int i = 0; i < rows; ++i) {
            float* states = states_.data() + 3 * std::size_t(i) * columns;
            begin(starts + i, rows, ends, columns, states);
            for (int j = 0; j < columns; ++j) {
                likely_[count] = {i, j};
                count += states[columns + j] > 0;
            }
        }
        int taken = 0;
        for (const int share : inner) {
            const float needed = float(NEEDED - (SAMPLES - 2) + ++taken);
            count = sweep(width, starts, rows, ends, columns, float(share) / float(SAMPLES - 1), needed, count);
        }
        for (std::size_t place = 0; place < count; ++place) {
            const auto [i, j] = likely_[place];
            const float* state = states_.data() + 3 * std::size_t(i) * columns + j;
            table[std::size_t(i) * columns + j] = state[0] / (state[columns] * state[2 * std::size_t(columns)]);
        }
        return count;
    }

    // Fills one start's states (sum of good samples times length, their number, length) with the samples at both ends.
    void begin(const float* start, int stride, const float* ends, int count, float* states) const {
        const float x = start[0], y = start[stride], u = start[2 * stride], v = start[3 * stride];
        const float threshold = settings_.paf_threshold, infinite = std::numeric_limits<float>::infinity();
        const float *__restrict xs = ends, *__restrict ys = xs + count, *__restrict us = ys + count,
                    *__restrict vs = us + count;
        float *__restrict totals = states, *__restrict good = totals + count, *__restrict lengths = good + count;
        for (int j = 0; j < count; ++j) {
            const float dx = xs[j] - x, dy = ys[j] - y;
            lengths[j] = std::sqrt(dx * dx + dy * dy);
        }
        for (int j = 0; j < count; ++j) {
            const float dx = xs[j] - x, dy = ys[j] - y, least = threshold * lengths[j];
            const float first = u * dx + v * dy, last = us[j] * dx + vs[j] * dy;
            const bool one = (first > least) & (first < infinite), other = (last > least) & (last < infinite);
            totals[j] = (one ? first : 0.0f) + (other ? last : 0.0f);
            good[j] = (one ? 1.0f : 0.0f) + (other ? 1.0f : 0.0f);
        }
    }

    // Takes one more sample of the likely pairs; moves those that still are forward, and returns how many.
    std::size_t sweep(int width, const float* starts, int rows, const float* ends, int columns, float share,
                      float needed, std::size_t count) {
        const float threshold = settings_.paf_threshold, infinite = std::numeric_limits<float>::infinity();
        const float *__restrict field = field_.data(), *ys = starts + rows, *end_ys = ends + columns;
        float* __restrict all = states_.data();
        Cell* __restrict likely = likely_.data();
        std::size_t kept = 0;
        for (std::size_t place = 0; place < count; ++place) {
            const Cell pair = likely[place];
            const float x = starts[pair.row], y = ys[pair.row];
            const float dx = ends[pair.column] - x, dy = end_ys[pair.column] - y;
            const Point vector = read_field(field, width, x + share * dx, y + share * dy);
            const float value = vector.x * dx + vector.y * dy;
            float* state = all + 3 * std::size_t(pair.row) * columns + pair.column;
            const bool fits = (value > threshold * state[2 * std::size_t(columns)]) & (value < infinite);
            state[0] += fits ? value : 0.0f;
            const float good = state[columns] += fits ? 1.0f : 0.0f;
            likely[kept] = pair;
            kept += good >= needed;
        }
        return kept;
    }

    // Appends one limb's pairs, best first, each row and column once; of equals the first.
    void pick(std::size_t count, int start, int end, int columns, const float* table) {
        own_pairs_.clear();
        for (std::size_t place = 0; place < count; ++place) {
            const auto [i, j] = likely_[place];
            own_pairs_.push_back({start + i, end + j, table[std::size_t(i) * columns + j]});
        }
        std::sort(own_pairs_.begin(), own_pairs_.end(), [](const Pair& one, const Pair& other) {
            if (one.score != other.score) return one.score > other.score;
            return std::make_pair(one.start, one.end) < std::make_pair(other.start, other.end);
        });
        taken_.assign(points_.size() * 2, 0);  // as a start, as an end: a limb may begin and end at one joint
        for (const Pair& pair : own_pairs_) {
            char &first = taken_[2 * std::size_t(pair.start)], &second = taken_[2 * std::size_t(pair.end) + 1];
            if (first || second) continue;
            first = second = 1;
            pairs_.push_back(pair);
        }
    }

    int* group(int index) { return members_.data() + std::size_t(index) * joints(); }

    // Whether no joint is owned by both groups: the sign bit of all is set wherever one of them has -1.
    bool disjoint(const int* one, const int* other) const {
        int signs = -1;
        for (int joint = 0; joint < joints(); ++joint) signs &= one[joint] | other[joint];
        return signs < 0;
    }

    // Joins all limbs, best first; members_ and totals_ get a row for each group, single peaks too.
    void group_limbs() {
        const int K = joints(), peaks = int(points_.size());
        members_.assign(std::size_t(peaks) * K, -1);
        totals_.assign(values_.begin(), values_.end());
        owner_.resize(peaks);
        std::iota(owner_.begin(), owner_.end(), 0);
        for (int joint = 0; joint < K; ++joint)
            for (int peak = bounds_[joint]; peak < bounds_[joint + 1]; ++peak) group(peak)[joint] = peak;
        std::stable_sort(pairs_.begin(), pairs_.end(),
                         [](const Pair& one, const Pair& other) { return one.score > other.score; });
        for (const Pair& pair : pairs_) {
            const int a = owner_[pair.start], b = owner_[pair.end];
            if (a == b) {
                totals_[a] += pair.score;
            } else if (disjoint(group(a), group(b))) {
                for (int joint = 0; joint < K; ++joint) {
                    const int peak = group(b)[joint];
                    if (peak >= 0) group(a)[joint] = peak, owner_[peak] = a;
                }
                totals_[a] += totals_[b] + pair.score;
            }
        }
        int kept = 0;
        for (int peak = 0; peak < peaks; ++peak) {
            if (owner_[peak] != peak) continue;
            std::copy_n(group(peak), K, group(kept));
            totals_[kept++] = totals_[peak];
        }
        members_.resize(std::size_t(kept) * K), totals_.resize(kept);
        count_members();
    }

    void count_members() {
        counts_.resize(totals_.size());
        for (int one = 0; one < int(totals_.size()); ++one)
            counts_[one] = int(std::count_if(group(one), group(one) + joints(), [](int peak) { return peak >= 0; }));
    }

    // Joins groups that own different joints and together make a likely body, the larger first.
    void adopt() {
        const int K = joints(), groups = int(totals_.size());
        std::vector<double> keys(groups);
        for (int one = 0; one < groups; ++one) keys[one] = counts_[one] + totals_[one] / (1 + totals_[one]);
        sort_down(keys.data(), groups);
        const std::vector<int> members = members_, counts = counts_;
        const std::vector<double> totals = totals_;
        for (int one = 0; one < groups; ++one) {
            std::copy_n(members.data() + std::size_t(order_[one]) * K, K, group(one));
            totals_[one] = totals[order_[one]], counts_[one] = counts[order_[one]];
        }
        sums_.assign(2 * std::size_t(groups), -1);  // weights, and weighted scales, of the pairs inside; -1: not yet
        ties_.assign(std::size_t(groups) * K, 0);   // weights of the pairs of each joint with a group
        int kept = 0;  // so many rows hold bodies; those up to the present one are free
        for (int one = 0; one < groups; ++one) {
            const int host = one < MOST_GROUPS && counts_[one] < K ? find_host(one, kept) : -1;
            if (host < 0) {
                std::copy_n(group(one), K, group(kept));
                std::copy_n(ties_.data() + std::size_t(one) * K, K, ties_.data() + std::size_t(kept) * K);
                sums_[2 * kept] = sums_[2 * one], sums_[2 * kept + 1] = sums_[2 * one + 1];
                totals_[kept] = totals_[one], counts_[kept] = counts_[one];
                ++kept;
                continue;
            }
            add_pairs(host, one);
            sums_[2 * host] += sums_[2 * one], sums_[2 * host + 1] += sums_[2 * one + 1];
            for (int joint = 0; joint < K; ++joint) {
                ties_[std::size_t(host) * K + joint] += ties_[std::size_t(one) * K + joint];
                group(host)[joint] = std::max(group(host)[joint], group(one)[joint]);
            }
            counts_[host] += counts_[one], totals_[host] += totals_[one];
        }
        members_.resize(std::size_t(kept) * K), totals_.resize(kept), counts_.resize(kept);
    }

    // The logarithm of a body's size, as two of its joints have it.
    double scale(int one, int other, double mean) const {
        const double dx = double(points_[one].x) - points_[other].x, dy = double(points_[one].y) - points_[other].y;
        return 0.5 * std::log(std::max(dx * dx + dy * dy, LEAST_DISTANCE * LEAST_DISTANCE)) - mean;
    }

    void weigh(int index) {
        const int K = joints();
        const int* own = group(index);
        double *sums = &sums_[2 * index], *ties = &ties_[std::size_t(index) * K];
        sums[0] = sums[1] = 0;
        for (int a = 0; a < K; ++a) {
            if (own[a] < 0) continue;
            for (int b = 0; b < K; ++b) ties[b] += weights_[a * K + b];
            for (int b = 0; b < a; ++b) {
                if (own[b] < 0) continue;
                sums[0] += weights_[a * K + b];
                sums[1] += weights_[a * K + b] * scale(own[a], own[b], settings_.means[a * K + b]);
            }
        }
    }

    // Adds the pairs of a joint of the one and a joint of the other to the one's sums.
    void add_pairs(int one, int other) {
        const int K = joints();
        for (int a = 0; a < K; ++a) {
            if (group(one)[a] < 0) continue;
            for (int b = 0; b < K; ++b) {
                if (a == b || group(other)[b] < 0) continue;
                const double weight = weights_[a * K + b];
                sums_[2 * one] += weight;
                sums_[2 * one + 1] += weight * scale(group(one)[a], group(other)[b], settings_.means[a * K + b]);
            }
        }
    }

    // The likeliest body for a group, or -1.
    int find_host(int index, int kept) {
        const int K = joints();
        int best = -1;
        double least = LIKELY * LIKELY;
        for (int other = 0; other < kept; ++other) {
            if (counts_[other] <= 1 || !disjoint(group(index), group(other))) continue;
            if (sums_[2 * index] < 0) weigh(index);
            if (sums_[2 * other] < 0) weigh(other);
            const double size = (sums_[2 * index + 1] + sums_[2 * other + 1]) / (sums_[2 * index] + sums_[2 * other]);
            double weight = 0;
            for (int joint = 0; joint < K; ++joint)
                if (group(index)[joint] >= 0) weight += ties_[std::size_t(other) * K + joint];
            const double cost = deviate(index, other, size, least * weight) / weight;
            if (cost < least) best = other, least = cost;
        }
        return best;
    }

    // Sum of square deviations, weighted, of the pairs between two groups; infinite as soon as it is not below most.
    double deviate(int one, int other, double size, double most) {
        const int K = joints();
        double cost = 0;
        for (int a = 0; a < K; ++a) {
            if (group(one)[a] < 0) continue;
            for (int b = 0; b < K; ++b) {
                if (group(other)[b] < 0) continue;
                double off = scale(group(one)[a], group(other)[b], settings_.means[a * K + b]) - size;
                if (off <= 0) off *= FORESHORTENED;
                cost += square(weights_[a * K + b] * off);
                if (cost >= most) return std::numeric_limits<double>::infinity();
            }
        }
        return cost;
    }

    // Fills empty joints beside filled ones with the peaks that the strongest limbs lead to.
    void share() {
        count_members();
        for (int one = 0; one < int(totals_.size()); ++one) {
            if (counts_[one] < WHOLE) continue;
            for (int pass = 0; pass < PASSES; ++pass)
                for (std::size_t limb = 0; limb < settings_.limbs.size(); ++limb)
                    totals_[one] += lead(group(one), limb);
        }
    }

    // Fills the one empty end of a limb with the peak that it leads to, if that is one; returns what it adds.
    float lead(int* own, std::size_t limb) const {
        const auto [start, end] = settings_.limbs[limb];
        const int rows = bounds_[start + 1] - bounds_[start], columns = bounds_[end + 1] - bounds_[end];
        if ((own[start] >= 0) == (own[end] >= 0) || !rows || !columns) return 0;
        const bool forward = own[start] >= 0;
        const std::size_t count = forward ? columns : rows, step = forward ? 1 : columns;
        const float* scores = tables_.data() + offsets_[limb] +
                              (forward ? std::size_t(own[start] - bounds_[start]) * columns : own[end] - bounds_[end]);
        std::size_t peak = 0;
        for (std::size_t place = 1; place < count; ++place)
            if (scores[place * step] > scores[peak * step]) peak = place;
        if (!(scores[peak * step] > STRONG)) return 0;
        const int empty = forward ? end : start;
        own[empty] = bounds_[empty] + int(peak);
        return scores[peak * step];
    }

    // Lets a group have the joints that it lacks of a lesser one that shares some of its own, if likely with the rest.
    void lend() {
        const int K = joints(), groups = int(totals_.size());
        owner_.assign(values_.size(), -1);  // the best group that has the peak
        sort_down(totals_.data(), groups);
        members_.resize(std::size_t(groups + 1) * K);  // the last row is for what is lent
        for (const int one : order_) {
            int host = -1, shared = 0;
            for (int joint = 0; joint < K; ++joint) {
                const int peak = group(one)[joint];
                if (peak < 0) continue;
                if (owner_[peak] < 0) owner_[peak] = one;
                else if (host < 0 || host == owner_[peak]) host = owner_[peak], ++shared;
            }
            if (shared >= SAME) complete(host, one, groups);
        }
        members_.resize(std::size_t(groups) * K);
    }

    // Fills what a group lacks with what another one has, if both make a likely body; a row is free for what is lent.
    void complete(int host, int other, int lent) {
        const int K = joints();
        sums_.assign(2 * std::size_t(lent), 0), ties_.assign(std::size_t(lent) * K, 0);
        weigh(host);
        double weight = 0;
        for (int joint = 0; joint < K; ++joint) {
            group(lent)[joint] = group(host)[joint] < 0 ? group(other)[joint] : -1;
            if (group(lent)[joint] >= 0) weight += ties_[std::size_t(host) * K + joint];
        }
        const double size = sums_[2 * host + 1] / sums_[2 * host], most = LIKELY * LIKELY * weight;
        if (!(deviate(lent, host, size, most) < most)) return;
        for (int joint = 0; joint < K; ++joint) group(host)[joint] = std::max(group(host)[joint], group(lent)[joint]);
    }

    // Lets each peak count for the best of the groups that share it only. Of a share f of joints that are a group's own,
    // about f * f of its limbs have both ends of its own, and so much of its total is left.
    void count_once() {
        taken_.assign(values_.size(), 0);
        sort_down(totals_.data(), int(totals_.size()));
        for (const int one : order_) {
            int own = 0, all = 0;
            for (int joint = 0; joint < joints(); ++joint) {
                const int peak = group(one)[joint];
                if (peak < 0) continue;
                own += !taken_[peak];
                ++all;
                taken_[peak] = 1;
            }
            totals_[one] *= square(double(own) / all);
        }
    }

    std::vector<Person> people() {
        count_members();
        const double stride = settings_.stride;
        std::vector<Person> found;
        sort_down(totals_.data(), int(totals_.size()));
        for (const int one : order_) {
            if (settings_.max_people >= 0 && int(found.size()) >= settings_.max_people) break;
            if (counts_[one] < settings_.min_parts) continue;
            const double total = std::min(totals_[one], MOST);
            Person person;
            person.score = float(total / (1 + total));
            if (person.score < settings_.min_score) break;  // those that follow score less
            person.joints.resize(joints());
            for (int joint = 0; joint < joints(); ++joint) {
                const int peak = group(one)[joint];
                if (peak < 0) continue;
                const double half = (stride - 1) / 2;
                person.joints[joint] = {float(points_[peak].x * stride + half), float(points_[peak].y * stride + half),
                                        std::min(values_[peak], 1.0f)};
            }
            found.push_back(std::move(person));
        }
        return found;
    }
};

// --- skeleton.json

namespace detail {

// A JSON value: what kind it is, and the one member that then counts.
struct Json {
    enum Kind { null, boolean, number, text, list, object } kind = null;
    double value = 0;
    std::string string;
    std::vector<Json> items;
    std::map<std::string, Json> members;

    const Json& operator[](const char* name) const {
        const auto found = members.find(name);
        if (kind != object || found == members.end())
            throw std::invalid_argument(std::string("skeleton.json: no ") + name);
        return found->second;
    }
    double as_number() const {
        return kind == number ? value : throw std::invalid_argument("skeleton.json: no number");
    }
    int as_count() const {
        const double number = as_number();
        return number >= 0 && number <= 1e9 ? int(number) : throw std::invalid_argument("skeleton.json: no count");
    }
    const std::string& as_text() const {
        return kind == text ? string : throw std::invalid_argument("skeleton.json: no text");
    }
    const std::vector<Json>& as_list() const {
        return kind == list ? items : throw std::invalid_argument("skeleton.json: no list");
    }
};

class JsonReader {
public:
    explicit JsonReader(const std::string& text) : text_(text) {}

    Json read() {
        Json whole = read_value(0);
        skip();
        if (at_ < text_.size()) fail();
        return whole;
    }

private:
    static constexpr int DEEPEST = 64;
    const std::string& text_;
    std::size_t at_ = 0;

    [[noreturn]] void fail() const {
        throw std::invalid_argument("skeleton.json: no JSON at character " + std::to_string(at_));
    }
    void skip() {
        static const std::string blanks = " \n\r\t";
        while (at_ < text_.size() && blanks.find(text_[at_]) != std::string::npos) ++at_;
    }
    bool take(char wanted) {
        skip();
        const bool is = at_ < text_.size() && text_[at_] == wanted;
        at_ += is;
        return is;
    }
    void need(char wanted) {
        if (!take(wanted)) fail();
    }
    bool take_word(const std::string& word) {
        const bool is = text_.compare(at_, word.size(), word) == 0;
        at_ += is ? word.size() : 0;
        return is;
    }

    Json read_value(int depth) {
        if (depth > DEEPEST) fail();
        skip();
        if (at_ >= text_.size()) fail();
        Json found;
        if (text_[at_] == '"') {
            found.kind = Json::text, found.string = read_string();
        } else if (take('[')) {
            found.kind = Json::list;
            if (!take(']')) {
                do found.items.push_back(read_value(depth + 1));
                while (take(','));
                need(']');
            }
        } else if (take('{')) {
            found.kind = Json::object;
            if (!take('}')) {
                do {
                    skip();
                    const std::string name = read_string();
                    need(':');
                    found.members[name] = read_value(depth + 1);
                } while (take(','));
                need('}');
            }
        } else if (take_word("null")) {
        } else if (take_word("true")) {
            found.kind = Json::boolean, found.value = 1;
        } else if (take_word("false")) {
            found.kind = Json::boolean;
        } else {
            found.kind = Json::number, found.value = read_number();
        }
        return found;
    }

    double read_number() {
        const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
        std::istringstream digits(text_.substr(at_, end - at_));
        digits.imbue(std::locale::classic());  // a point is a point wherever this runs
        double value = 0;
        if (!(digits >> value) || digits.peek() != std::istringstream::traits_type::eof()) fail();
        at_ = end;
        return value;
    }

    std::string read_string() {
        if (at_ >= text_.size() || text_[at_] != '"') fail();
        std::string found;
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] != '\\') {
                found += text_[at_];
                continue;
            }
            if (++at_ >= text_.size()) fail();
            static const std::string marks = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
            const std::size_t place = marks.find(text_[at_]);
            if (place != std::string::npos) found += meant[place];
            else if (text_[at_] == 'u') add_utf8(read_code_point(), found);
            else fail();
        }
        if (at_ >= text_.size()) fail();
        ++at_;
        return found;
    }

    // After \u: four digits, or two surrogates; ends at the last of them.
    std::uint32_t read_code_point() {
        const std::uint32_t high = read_digits();
        if (high < 0xD800 || high > 0xDBFF) return high;
        if (text_.compare(at_ + 1, 2, "\\u") != 0) fail();
        at_ += 2;
        const std::uint32_t low = read_digits();
        if (low < 0xDC00 || low > 0xDFFF) fail();
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    std::uint32_t read_digits() {
        std::uint32_t value = 0;
        for (int digit = 0; digit < 4; ++digit) {
            static const std::string digits = "0123456789abcdef0123456789ABCDEF";
            const std::size_t place = ++at_ < text_.size() ? digits.find(text_[at_]) : std::string::npos;
            if (place == std::string::npos) fail();
            value = 16 * value + std::uint32_t(place % 16);
        }
        return value;
    }
    static void add_utf8(std::uint32_t code, std::string& text) {
        if (code < 0x80) {
            text += char(code);
        } else if (code < 0x800) {
            text += {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
        } else if (code < 0x10000) {
            text += {char(0xE0 | code >> 12), char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
        } else {
            text += {char(0xF0 | code >> 18), char(0x80 | (code >> 12 & 0x3F)), char(0x80 | (code >> 6 & 0x3F)),
                     char(0x80 | (code & 0x3F))};
        }
    }
};

// A symmetric table of which the rows below the diagonal are told.
inline std::vector<double> whole_table(const std::vector<Json>& below, double diagonal) {
    const std::size_t count = below.size();
    std::vector<double> table(count * count, diagonal);
    for (std::size_t k = 0; k < count; ++k) {
        const auto& row = below[k].as_list();
        if (row.size() < k) throw std::invalid_argument("skeleton.json: the prior's rows are short");
        for (std::size_t m = 0; m < k; ++m) table[k * count + m] = table[m * count + k] = row[m].as_number();
    }
    return table;
}

}  // namespace detail

// Reads the text of skeleton.json, as `bpnet bundle` writes it.
inline Settings read_settings(const std::string& json) {
    const detail::Json sheet = detail::JsonReader(json).read();
    Settings settings;
    std::map<std::string, int> places;
    for (const auto& name : sheet["joints"].as_list()) {
        places[name.as_text()] = int(settings.joints.size());
        settings.joints.push_back(name.as_text());
    }
    for (const auto& limb : sheet["limbs"].as_list()) {
        const auto& ends = limb.as_list();
        if (ends.size() != 2 || !places.count(ends[0].as_text()) || !places.count(ends[1].as_text()))
            throw std::invalid_argument("skeleton.json: a limb ends at no joint");
        settings.limbs.emplace_back(places[ends[0].as_text()], places[ends[1].as_text()]);
    }
    settings.stride = sheet["stride"].as_number();
    settings.sigma = sheet["sigma"].as_number();
    settings.paf_shift = sheet["paf_shift"].as_number();
    const auto& decoding = sheet["decoding"];
    settings.heatmap_threshold = float(decoding["heatmap_threshold"].as_number());
    settings.paf_threshold = float(decoding["paf_threshold"].as_number());
    settings.min_parts = decoding["min_parts"].as_count();
    settings.min_score = float(decoding["min_score"].as_number());
    const auto& most = decoding["max_people"];
    settings.max_people = most.kind == detail::Json::null ? -1 : most.as_count();
    const auto& prior = sheet["prior"];
    if (prior.kind != detail::Json::null) {
        settings.means = detail::whole_table(prior["means"].as_list(), 0);
        settings.spreads = detail::whole_table(prior["spreads"].as_list(), 1);
    }
    return settings;
}

}  // namespace bodyposenet

#endif  // BODYPOSENET_POSE_DECODER_HPP
