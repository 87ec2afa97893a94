// Answers written by a language model from passages, and checked: what it says must be in what it
// cites.
#pragma once

#include "answer/answer.h"
#include "answer/language_model.h"

namespace msearch::answer {

// Retrieved text is data: each passage stands between marks that carry a random word, so that no
// text can end its own passage, and the instructions say that nothing between them is one. The
// model has no tools: all it can do is write.
std::vector<ChatMessage> MakePrompt(const Question& question, const std::vector<Passage>& passages,
                                    const std::string& mark);

// Takes the model's text apart: each sentence keeps the citations whose passage has its words.
// One without any is given the passage that has them, if one has; else it is left out, and so is
// one with a number or a name that neither its passage nor the question has. Nothing left: not
// found.
Answer CheckGenerated(const Question& question, const std::vector<Passage>& passages,
                      const std::string& text);

// Errors as LanguageModel::Chat; kCorrupt when nothing of what it wrote is supported.
Result<Answer> Generate(LanguageModel& model, const Question& question,
                        const std::vector<Passage>& passages,
                        const std::function<void(const std::string&)>& on_text,
                        std::stop_token stop);

}  // namespace msearch::answer
