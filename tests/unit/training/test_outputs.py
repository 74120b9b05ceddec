from classifier.contract import Contract
from classifier.training.outputs import WRITTEN, check_outputs, remove_earlier_outputs


def test_what_an_earlier_job_wrote_goes_and_all_else_stays(tmp_path):
    contract = Contract(tmp_path, {})
    contract.output_data.mkdir(parents=True)
    for name in (*WRITTEN, "labels.csv", "notes.csv"):
        (contract.output_data / name).touch()
    check_outputs(contract)
    assert {path.name for path in contract.output_data.iterdir()} == {*WRITTEN, "labels.csv", "notes.csv"}
    remove_earlier_outputs(contract)
    assert [path.name for path in contract.output_data.iterdir()] == ["notes.csv"]
