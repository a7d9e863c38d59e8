from keras_restpg.rewards.reward import Judgement, no_judgement


class Silent:
    """A judge that gives answers with an exclamation mark no score."""

    def judge(self, examples, answers):
        return [
            no_judgement("it said", a) if "!" in a else Judgement(len(a) / 10)
            for a in answers
        ]

    def score(self, examples, answers):
        return [each.score for each in self.judge(examples, answers)]
