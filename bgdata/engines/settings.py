"""Settings of the engines (`runtime.engine`, `runtime.ray`, `runtime.slurm`)."""

from typing import Literal

from pydantic import Field

from bgdata.settings import Settings

EngineName = Literal["local", "ray", "slurm"]


class RaySettings(Settings):
    """`runtime.ray`."""

    address: str | None = Field(
        description="of a standing cluster (host:port, or auto); null: one of this machine's own"
    )
    window: int = Field(ge=1, description="tasks in flight for each core or GPU of the cluster")


class SlurmSettings(Settings):
    """`runtime.slurm`: what each job of the array asks for."""

    jobs: int = Field(ge=1, description="jobs of one array at most; each takes an equal share of the tasks")
    partition: str | None
    minutes: int = Field(ge=1, description="time limit of a job")
    cpus: int = Field(ge=1)
    gpus: int = Field(ge=0, description="GPUs of a job that holds a network")
    options: dict[str, str | int] = Field(description="further options of sbatch: {account: a, constraint: h100}")


class EngineSettings(Settings):
    """Which engine, how long a task may take, and how often it is made again."""

    engine: EngineName
    task_minutes: float | None = Field(gt=0, description="a task that takes longer is given up and made again")
    task_retries: int = Field(
        ge=0, description="how often a task is made again whose worker was lost, or that took too long"
    )
    ray: RaySettings
    slurm: SlurmSettings
