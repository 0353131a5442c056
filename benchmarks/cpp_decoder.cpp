// The C++ decoder as Python's ctypes calls it.
#include <cstring>

#include "pose_decoder.hpp"

namespace {

bodyposenet::Maps lay(const float* data, int rows, int columns, int channels, int channels_first) {
    return channels_first ? bodyposenet::nchw(data, rows, columns, channels)
                          : bodyposenet::nhwc(data, rows, columns, channels);
}

void tell(const std::exception& error, char* problem, int room) {
    std::strncpy(problem, error.what(), std::size_t(room) - 1);
    problem[room - 1] = 0;
}

}  // namespace

extern "C" {

// Returns null, and why, if the sheet is none.
void* open_decoder(const char* sheet, char* problem, int room) try {
    return new bodyposenet::Decoder(bodyposenet::read_settings(sheet));
} catch (const std::exception& error) {
    tell(error, problem, room);
    return nullptr;
}

void close_decoder(void* decoder) { delete static_cast<bodyposenet::Decoder*>(decoder); }

int count_joints(const void* decoder) {
    return int(static_cast<const bodyposenet::Decoder*>(decoder)->settings().joints.size());
}

// shape: rows, columns, channels of the heatmaps, of the fields, 1 if they come first. Returns how many people there
// are, of whom it writes those for whom there is room: scores, and x, y, score of each joint; -1 after a mistake.
int decode_maps(void* decoder, const float* heatmaps, const float* pafs, const int* shape, float* scores,
                float* keypoints, int room) try {
    const auto people = static_cast<bodyposenet::Decoder*>(decoder)->decode(
        lay(heatmaps, shape[0], shape[1], shape[2], shape[4]), lay(pafs, shape[0], shape[1], shape[3], shape[4]));
    for (std::size_t one = 0; one < people.size() && one < std::size_t(room); ++one) {
        *scores++ = people[one].score;
        for (const auto& joint : people[one].joints)
            for (const float value : {joint.x, joint.y, joint.score}) *keypoints++ = value;
    }
    return int(people.size());
} catch (const std::exception&) {
    return -1;
}
}
